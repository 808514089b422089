// What the three pages share: they sign a person in and out, and say whether the service can be reached.
import { Api } from "./api.js";
import { acts, byId, notice, settings, show, write } from "./dom.js";
import { Session } from "./session.js";

const NO_NETWORK = "No network. What you see may be old; the page goes on when the network is back.";

// Signs a person in with this scope, and then calls `start` with the session, the API and a function to call if the
// account may not use this page. Calls `ended` when the person is no longer signed in.
export async function begin(scope, start, ended = () => {}) {
  const session = new Session(scope);
  const api = new Api(session);
  api.lost = (refused) => {
    session.forget();
    ended();
    showSignedOut(refused.text);
  };
  const turnAway = (text) => {
    ended();
    showSignedOut(text);
    show(byId("who"), true);
  };
  sayReachability(api);
  acts(byId("sign-in"), async () => {
    if (!settings.domain) return write(byId("welcome-problem"), "Signing in is not set up here (COGNITO_DOMAIN_URL).");
    await session.signIn();
  });
  acts(byId("sign-out"), () => session.signOut());
  const signedIn = await session.begin().catch((error) => {
    write(byId("welcome-problem"), `Signing in did not work: ${error.message}. Try again.`);
    return false;
  });
  if (!signedIn) return showSignedOut();
  showSignedIn(session.name);
  await start(session, api, turnAway);
}

function showSignedIn(name) {
  show(byId("welcome"), false);
  show(byId("who"), true);
  write(byId("user"), name);
  show(byId("work"), true);
}

function showSignedOut(text = "") {
  show(byId("work"), false);
  show(byId("who"), false);
  show(byId("welcome"), true);
  if (text) write(byId("welcome-problem"), text);
}

function sayReachability(api) {
  let reached = true;
  const say = (now) => {
    if (now !== reached) notice(now ? "Back again." : NO_NETWORK, now ? 2 : 0);
    reached = now;
  };
  api.reached = say;
  addEventListener("offline", () => say(false));
  addEventListener("online", () => say(true));
}
