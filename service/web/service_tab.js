// The tab of the service itself: pause, travel times, workers, queues, dead letters, revocations.
import { refusedIn } from "./api.js";
import { ask } from "./ask.js";
import { acts, byId, fault, make, moment, notice, write } from "./dom.js";

const REFRESH_MILLISECONDS = 3000;
const MEGABYTE = 1024 * 1024;
const KINDS = { pickup: "To the pickup", trip: "From there to the drop-off" };
const WORKERS = { running: "good", lost: "bad" };

export class ServiceTab {
  #api;
  #isAdmin;
  #showRide;
  #timer = 0;
  #paused = false;

  constructor(api, isAdmin, showRide) {
    this.#api = api;
    this.#isAdmin = isAdmin;
    this.#showRide = showRide;
    if (!isAdmin) return;
    acts(byId("pause"), () => this.#toggle());
    acts(byId("revoke"), () => this.#revoke());
  }

  open() {
    this.#timer = setInterval(() => this.#look(), REFRESH_MILLISECONDS);
    return this.#look();
  }

  close() {
    clearInterval(this.#timer);
  }

  async #look() {
    try {
      const [dispatch, times, workers, queues, letters] = await Promise.all(["dispatch", "travel-times", "workers", "queues", "dead-letters"].map((name) => this.#api.get(`/v1/admin/${name}`)));
      this.#showDispatch(dispatch);
      fill("times", times.travel_times.map(timesEntry), "No drive has ended yet.");
      fill("workers", workers.workers.map(workerEntry), "No workers.");
      fill("queues", queues.queues.map(queueEntry), "No queues.");
      fill("letters", letters.dead_letters.map((each) => this.#letterEntry(each)), "None: nothing had to be set aside.");
      write(byId("service-problem"), "");
    } catch (error) {
      write(byId("service-problem"), refusedIn(error).text);
    }
  }

  #showDispatch({ paused, zones }) {
    this.#paused = paused;
    const elsewhere = zones.length ? "Paused in these zones:" : "Rides are matched everywhere.";
    write(byId("dispatch"), paused ? "Paused everywhere: no new rides are taken." : elsewhere);
    byId("zones").replaceChildren(...zones.map((zone) => this.#zoneEntry(zone)));
    if (this.#isAdmin) write(byId("pause"), paused ? "Resume dispatch" : "Pause dispatch");
  }

  #zoneEntry(zone) {
    const resume = this.#isAdmin && acts(make("button", { class: "slim" }, "Resume"), () => this.#sent(() => this.#api.put("/v1/admin/dispatch", { paused: false, zone })));
    return make("li", { class: "row" }, make("code", { class: "grow" }, zone), resume);
  }

  // Pauses dispatch in the zone of the field. Without a zone, pauses it everywhere, or resumes it if it is paused.
  async #toggle() {
    const zone = byId("zone").value.trim() || null;
    const pauses = zone !== null || !this.#paused;
    fault("zone", "");
    if (pauses && !(await ask(`Pause dispatch ${zone ? "in this zone" : "everywhere"}?`, "New rides are refused until somebody resumes it. Rides under way go on.", "Pause"))) return;
    try {
      await this.#api.put("/v1/admin/dispatch", { paused: pauses, zone });
      byId("zone").value = "";
      await this.#look();
    } catch (error) {
      const refused = refusedIn(error);
      fault("zone", refused.faults[0]?.message ?? refused.text);
    }
  }

  #letterEntry(letter) {
    const about = make("div", { class: "grow" }, make("div", {}, `${letter.kind.replaceAll("_", " ")}: ${letter.cause}`), make("div", { class: "quiet small" }, `${moment(letter.set_aside_at)}${letter.replayed_at ? `, replayed ${moment(letter.replayed_at)}` : ""}`));
    const ride = letter.ride_id && acts(make("button", { class: "slim" }, "Ride"), async () => this.#showRide(letter.ride_id));
    const replay = this.#isAdmin && acts(make("button", { class: "slim" }, "Replay"), () => this.#sent(() => this.#api.post(`/v1/admin/dead-letters/${letter.dead_letter_id}/replay`)));
    return make("li", { class: "row" }, about, ride, replay);
  }

  async #revoke() {
    const value = byId("revoke-value").value.trim();
    const say = (text) => fault("revoke-value", text);
    say(value ? "" : "Say whose.");
    if (!value || !(await ask("Revoke?", `Every token of ${value} is refused within seconds.`, "Revoke"))) return;
    try {
      await this.#api.post("/v1/admin/revocations", { [byId("revoke-kind").value]: value });
      byId("revoke-value").value = "";
      notice("Revoked.", 3);
    } catch (error) {
      const refused = refusedIn(error);
      say(refused.faults[0]?.message ?? refused.text);
    }
  }

  async #sent(work) {
    try {
      await work();
      await this.#look();
    } catch (error) {
      write(byId("service-problem"), refusedIn(error).text);
    }
  }
}

function fill(id, entries, none) {
  byId(id).replaceChildren(...(entries.length ? entries : [make("li", { class: "quiet" }, none)]));
}

const percent = (share) => `${Math.round(share * 100)} %`;

function timesEntry(times) {
  const { told_ratio_median: ratio, within_20_percent: near, by_latest: inTime, promises } = times;
  const kept = ratio === null ? "no ETA has come true yet" : `${percent(near)} within a fifth, ${percent(inTime)} by the latest time told, ${promises} ${promises === 1 ? "drive" : "drives"}`;
  const source = times.is_learned ? "learned here" : "not learned yet";
  const about = make("div", { class: "grow" }, make("div", {}, KINDS[times.kind] ?? times.kind, make("span", { class: "quiet small" }, ` zone ${times.zone}, ${source}`)), make("div", { class: "quiet small number" }, kept));
  return make("li", { class: "row" }, about, ratio !== null && make("strong", { class: "number" }, ratio.toFixed(2)));
}

function workerEntry(worker) {
  const work = `${worker.active} active, ${worker.done} done, ${worker.failed} failed, ${Math.round(worker.memory_bytes / MEGABYTE)} MB`;
  return make("li", { class: "row" }, make("div", { class: "grow" }, make("div", {}, `${worker.host}:${worker.pid}`, make("span", { class: "quiet small" }, ` ${worker.version} ${worker.revision.slice(0, 7)}`)), make("div", { class: "quiet small number" }, work)), make("span", { class: `badge ${WORKERS[worker.state] ?? ""}` }, worker.state));
}

function queueEntry(queue) {
  const oldest = queue.oldest_waiting_seconds === null ? "" : `, the oldest ride waits ${Math.round(queue.oldest_waiting_seconds)} s`;
  return make("li", { class: "row" }, make("span", { class: "grow" }, queue.name), make("span", { class: "quiet small number" }, `${queue.ready} ready, ${queue.unacked} worked on${oldest}`));
}
