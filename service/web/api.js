// Calls of the API with the session's token.
import { settings } from "./dom.js";
import { messageOf } from "./messages.js";

const TRIES = 3;
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

// An answer other than a success; or no answer at all, with the reason "offline".
export class Refused extends Error {
  constructor(status, problem = {}, retryAfter = 0) {
    super(problem.detail ?? problem.reason);
    Object.assign(this, { status, retryAfter, reason: problem.reason, detail: problem.detail });
    this.requestId = problem.request_id;
    this.faults = problem.errors ?? [];
  }

  get text() {
    return messageOf(this);
  }
}

// The error, if it is a `Refused`. Throws any other error again: it is a defect of the page, and the browser's console
// shows it.
export function refusedIn(error) {
  if (error instanceof Refused) return error;
  throw error;
}

async function refusalOf(answer) {
  const problem = await answer.json().catch(() => ({ reason: "unreadable" }));
  return new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
}

export class Api {
  #session;

  constructor(session) {
    this.#session = session;
    this.lost = () => {};
    this.reached = () => {};
    this.aheadMilliseconds = 0;
  }

  // The service's time now, by its last answer, because the clock of this machine may be wrong.
  now() {
    return Date.now() - this.aheadMilliseconds;
  }

  // Makes a call and returns a successful answer. Renews a token that has ended, once. Throws `Refused`.
  async open(method, path, { body, headers = {}, signal } = {}, renewed = false) {
    const answer = await this.#fetch(method, path, { body, headers, signal });
    if (answer.ok || answer.status === 304) return answer;
    const refused = await refusalOf(answer);
    if (answer.status === 401 && !renewed && (await this.#renew())) {
      return this.open(method, path, { body, headers, signal }, true);
    }
    if (answer.status === 401) this.lost(refused);
    throw refused;
  }

  async #fetch(method, path, { body, headers, signal }) {
    const sent = { ...headers, Authorization: `Bearer ${this.#session.token}` };
    if (body !== undefined) sent["Content-Type"] = "application/json";
    try {
      const answer = await fetch(`${settings.base}${path}`, {
        method,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        cache: "no-store",
      });
      const date = Date.parse(answer.headers.get("Date"));
      if (date) this.aheadMilliseconds = Date.now() - date;
      this.reached(true);
      return answer;
    } catch (error) {
      throw this.#unreached(error);
    }
  }

  // The error for a failed fetch: the network is gone, unless the page itself ended the call.
  #unreached(error) {
    if (error.name === "AbortError") return error;
    this.reached(false);
    return new Refused(0, { reason: "offline" });
  }

  // The text of an answer. The connection may break after the answer's head.
  async #textOf(answer) {
    try {
      return await answer.text();
    } catch (error) {
      throw this.#unreached(error);
    }
  }

  // If the pool does not answer, the person stays signed in, because the same call may succeed later.
  async #renew() {
    return this.#session.renew().catch(() => {
      throw new Refused(503, { reason: "auth_unavailable" });
    });
  }

  // Makes a call and returns the answer's body and entity tag. While the service is busy, it repeats a call that may be
  // sent twice.
  async call(method, path, options = {}) {
    const again = method !== "POST" || options.headers?.["Idempotency-Key"] !== undefined;
    for (let tried = 1; ; tried++) {
      try {
        const answer = await this.open(method, path, options);
        const text = answer.status === 200 || answer.status === 201 || answer.status === 202 ? await this.#textOf(answer) : "";
        return { status: answer.status, tag: answer.headers.get("ETag"), data: text ? JSON.parse(text) : null };
      } catch (refused) {
        const busy = refused.status === 503 && refused.reason !== "dispatch_paused";
        if (!again || tried === TRIES || !busy) throw refused;
        await sleep(refused.retryAfter || 1);
      }
    }
  }

  get = async (path, options) => (await this.call("GET", path, options)).data;
  post = async (path, body = {}, headers = {}) => (await this.call("POST", path, { body, headers })).data;
  put = async (path, body) => (await this.call("PUT", path, { body })).data;
}
