// The session: signs a person in by OAuth2 (code and PKCE) with oidc-client-ts. Tokens are in memory only. The browser
// keeps two things while the person is on the login page: the state of the request, and that somebody was signed in.
import { settings } from "./dom.js";

const { OidcClient, WebStorageStateStore } = globalThis.oidc;
const REMEMBERED = `signed-in ${location.pathname}`;
const home = `${location.origin}${location.pathname}`;

// The errors by which the pool refuses a refresh token for good. Errors that pass, such as a pool that is too busy or a
// trigger that does not answer, have the same status, 400.
const REFUSALS = [
  "NotAuthorizedException", "RefreshTokenReuseException", "UserLambdaValidationException", "UserNotFoundException",
  "ResourceNotFoundException", "InvalidParameterException",
];

function claimsOf(token) {
  const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (each) => each.charCodeAt(0))));
}

// Calls the pool's own API. Unlike the emulator's token endpoint, it keeps scopes and groups in a renewed token; it also
// revokes tokens.
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

  // Returns whether somebody is signed in, which is so when the login page has sent the browser back. A page that was
  // reloaded goes to the login page once.
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

  // Goes to the login page; never returns to its caller.
  async signIn() {
    location.assign((await this.#client.createSigninRequest({})).url);
    return new Promise(() => {});
  }

  // Gets a new access token; false if the pool refuses the refresh token. Throws if the pool is away, too busy or cannot
  // make a token now. Simultaneous callers share one renewal.
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
    // A pool that rotates refresh tokens sends a new one each time.
    this.#tokens = { access, refresh: refresh ?? this.#tokens.refresh };
    return true;
  }

  // Revokes the session's tokens, and then signs the person out at the login page.
  async signOut() {
    const revoking = this.#tokens && this.#revoke().catch(() => {});
    this.forget();
    await revoking;
    const query = new URLSearchParams({ client_id: settings.client, logout_uri: home });
    location.assign(`${settings.domain}/logout?${query}`);
  }

  // Ends the session at the service, which revokes the refresh token at the pool. If the service refuses the call, for
  // example because the access token has ended, the page revokes the refresh token at the pool itself.
  async #revoke() {
    const { access, refresh } = this.#tokens;
    const answer = await fetch(`${settings.base}/v1/me/sign-out`, {
      method: "POST",
      headers: { Authorization: `Bearer ${access}`, "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: refresh }),
    }).catch(() => null);
    if (!answer?.ok) await askPool("RevokeToken", { Token: refresh });
  }

  // Forgets the tokens: nobody is signed in any more.
  forget() {
    this.#tokens = null;
    sessionStorage.removeItem(REMEMBERED);
  }
}
