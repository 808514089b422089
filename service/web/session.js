// Who is signed in: OAuth2 code with PKCE by oidc-client-ts. Tokens are in memory only; what is kept over the way to
// the login page and back is the request's state, and that somebody was signed in here.
import { settings } from "./dom.js";

const { OidcClient, WebStorageStateStore } = globalThis.oidc;
const REMEMBERED = `signed-in ${location.pathname}`;
const home = `${location.origin}${location.pathname}`;

// The errors by which the pool refuses a refresh token. It has the same status, 400, for those that pass: it is too busy,
// or a trigger does not answer.
const REFUSALS = [
  "NotAuthorizedException", "RefreshTokenReuseException", "UserLambdaValidationException", "UserNotFoundException",
  "ResourceNotFoundException", "InvalidParameterException",
];

function claimsOf(token) {
  const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (each) => each.charCodeAt(0))));
}

// The pool's own API: in the emulator too it keeps scopes and groups in a renewed token, and it revokes.
function askPool(operation, body) {
  return fetch(`${new URL(settings.pool).origin}/`, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": `AWSCognitoIdentityProviderService.${operation}`,
    },
    body: JSON.stringify({ ClientId: settings.client, ...body }),
  });
}

export class Session {
  #client;
  #tokens = null;
  #renewing = null;

  constructor(scope) {
    const { domain } = settings;
    this.#client = new OidcClient({
      authority: settings.pool,
      client_id: settings.client,
      redirect_uri: home,
      scope: `openid ${scope}`,
      stateStore: new WebStorageStateStore({ store: sessionStorage, prefix: "sign-in." }),
      metadata: {
        issuer: settings.pool,
        authorization_endpoint: `${domain}/oauth2/authorize`,
        token_endpoint: `${domain}/oauth2/token`,
        end_session_endpoint: `${domain}/logout`,
      },
    });
  }

  get token() {
    return this.#tokens?.access ?? null;
  }

  get claims() {
    return claimsOf(this.#tokens.access);
  }

  get name() {
    return this.claims.username;
  }

  isIn(group) {
    return (this.claims["cognito:groups"] ?? []).includes(group);
  }

  // True if somebody is signed in now: on the way back from the login page. A page that was reloaded goes there once.
  async begin() {
    const query = new URLSearchParams(location.search);
    const remembered = sessionStorage.getItem(REMEMBERED);
    sessionStorage.removeItem(REMEMBERED);
    if (query.has("state") && (query.has("code") || query.has("error"))) {
      const { href } = location;
      history.replaceState(null, "", location.pathname);
      await this.#take(href);
    } else if (remembered) {
      await this.signIn();
    }
    return this.token !== null;
  }

  async #take(href) {
    const answer = await this.#client.processSigninResponse(href);
    this.#tokens = { access: answer.access_token, refresh: answer.refresh_token };
    sessionStorage.setItem(REMEMBERED, "yes");
  }

  // Leaves the page; never returns to its caller.
  async signIn() {
    location.assign((await this.#client.createSigninRequest({})).url);
    return new Promise(() => {});
  }

  // A new access token for the refresh token; false if the pool refuses one. Raises if the pool is away or too busy, or cannot make one now.
  // Callers at the same time share one.
  renew() {
    this.#renewing ??= this.#renewed().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renewed() {
    if (!this.#tokens?.refresh) return false;
    const answer = await askPool("GetTokensFromRefreshToken", { RefreshToken: this.#tokens.refresh });
    const { AuthenticationResult: renewed, __type: error = "" } = await answer.json();
    if (answer.status === 400 && REFUSALS.some((each) => error.endsWith(each))) return false;
    if (!answer.ok) throw new Error(error);
    const { AccessToken: access, RefreshToken: refresh } = renewed;
    // A pool that rotates refresh tokens brings a new one each time.
    this.#tokens = { access, refresh: refresh ?? this.#tokens.refresh };
    return true;
  }

  // Revokes the session's tokens, then ends the sign-in at the login page too.
  async signOut() {
    const revoking = this.#tokens && this.#revoke().catch(() => {});
    this.forget();
    await revoking;
    const query = new URLSearchParams({ client_id: settings.client, logout_uri: home });
    location.assign(`${settings.domain}/logout?${query}`);
  }

  // The session ends at the service, which tells the pool. Where the service does not take it, as with an access token
  // that has ended, the refresh token is still good: then it ends at the pool alone.
  async #revoke() {
    const { access, refresh } = this.#tokens;
    const answer = await fetch(`${settings.base}/v1/me/sign-out`, {
      method: "POST",
      headers: { Authorization: `Bearer ${access}`, "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: refresh }),
    }).catch(() => null);
    if (!answer?.ok) await askPool("RevokeToken", { Token: refresh });
  }

  // Nobody is signed in any more, whatever the reason.
  forget() {
    this.#tokens = null;
    sessionStorage.removeItem(REMEMBERED);
  }
}
