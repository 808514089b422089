// An event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html), read by `fetch`, because an
// `EventSource` cannot send a bearer token. A stream that breaks is continued by `Last-Event-ID`.
const SILENCE_MILLISECONDS = 40_000;
const LONGEST_PAUSE_MILLISECONDS = 8_000;
const TOKEN_ENDS = new Set(["token_expired", "token_revoked"]);

// Yields the events of a body: each with its type, its data, and its id or null.
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) yield eventOf(block);
  }
}

function eventOf(block) {
  const event = { type: "message", data: "", id: null };
  for (const line of block.split("\n")) {
    const [, name, value] = /^([a-z]*): ?(.*)$/.exec(line) ?? [];
    if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
    else if (name === "data") event.data += value;
  }
  return event;
}

export class Stream {
  #api;
  #path;
  #listeners;
  #controller = new AbortController();
  #lastId;
  #attempt = null;

  // `listeners`: a function for each type of event, which gets the event's data. `open` is called when the stream opens,
  // `broken` when it is lost, and `end` gets the reason of the end. If the stream ends because its token has ended, it is
  // opened again, and then the API renews the token or signs the person out.
  constructor(api, path, listeners, lastId = null) {
    this.#api = api;
    this.#path = path;
    this.#listeners = listeners;
    this.#lastId = lastId;
    this.#follow();
  }

  close() {
    this.#controller.abort();
    this.#attempt?.abort();
    removeEventListener("online", this.#again);
  }

  #again = () => this.#attempt?.abort();

  async #follow() {
    addEventListener("online", this.#again);
    let pause = 1000;
    while (!this.#controller.signal.aborted) {
      try {
        if (await this.#once()) return this.close();
        pause = 1000;
      } catch (error) {
        if (error.status >= 400 && error.status < 500 && error.status !== 429) {
          this.#tell("end", { reason: error.reason, refused: error });
          return this.close();
        }
        pause = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS);
      }
      if (this.#controller.signal.aborted) return;
      this.#tell("broken");
      await this.#rest(pause);
    }
  }

  // Opens the stream and reads it. True if it has ended for good.
  async #once() {
    this.#attempt = new AbortController();
    const { signal } = this.#attempt;
    const headers = this.#lastId === null ? {} : { "Last-Event-ID": this.#lastId };
    const answer = await this.#api.open("GET", this.#path, { headers, signal });
    if (answer.status === 204) return true;
    this.#tell("open");
    let silence = setTimeout(this.#again, SILENCE_MILLISECONDS);
    try {
      for await (const event of eventsOf(answer.body)) {
        clearTimeout(silence);
        silence = setTimeout(this.#again, SILENCE_MILLISECONDS);
        if (event.id !== null) this.#lastId = event.id;
        if (!event.data) continue;
        const data = JSON.parse(event.data);
        if (event.type === "end" && TOKEN_ENDS.has(data.reason)) return false;
        this.#tell(event.type, data);
        if (event.type === "end") return true;
      }
    } finally {
      clearTimeout(silence);
    }
    return false;
  }

  #tell(type, data) {
    if (!this.#controller.signal.aborted) this.#listeners[type]?.(data);
  }

  // Waits until the pause is over or the network is back.
  #rest(milliseconds) {
    this.#attempt = new AbortController();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#attempt.signal.addEventListener("abort", () => (clearTimeout(timer), resolve()));
    });
  }
}
