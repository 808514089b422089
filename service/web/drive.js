// The driver's page: go on and off duty, answer offers, take the steps of a ride, see today's rides.
import { refusedIn } from "./api.js";
import { acts, byId, degrees, distance, duration, make, notice, show, time, write } from "./dom.js";
import { createMap, frame, pin } from "./map.js";
import { Whereabouts } from "./position.js";
import { begin } from "./shell.js";

const WAIT_SECONDS = 25;
const PAUSE_MILLISECONDS = 2000;
const map = createMap(byId("map"));
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const STATES = {
  available: ["on duty, free", "good"],
  reserved: ["on the way to a rider", ""],
  on_trip: ["driving", ""],
  non_operational: ["off duty", "dull"],
  non_contactable: ["out of sight: no position for a while", "warn"],
  removed: ["no longer in the fleet", "bad"],
};
const STEPS = {
  offered: [["accept", "Accept", "primary great"], ["decline", "Decline", "great"]],
  matched: [["arrive", "I am at the pickup", "primary great"]],
  arrived: [["start", "Start the ride", "primary great"]],
  in_progress: [["complete", "Complete the ride", "primary great"]],
};
const WORDS = {
  offered: "A ride for you",
  matched: "Drive to the pickup",
  arrived: "Wait for your rider",
  in_progress: "Drive to the drop-off",
};

class Driver {
  #session;
  #api;
  #turnAway;
  #where;
  #unicorn = null;
  #ride = null;
  #declined = null;
  #tag = null;
  #ending = new AbortController();
  #pins = [];
  #goal = null;
  #counting = 0;
  #asked = 0;

  constructor(session, api, turnAway) {
    this.#session = session;
    this.#turnAway = turnAway;
    this.#api = api;
    this.#where = new Whereabouts(map, api);
    acts(byId("available"), () => this.#toggle());
    acts(byId("look-again"), () => this.start());
    byId("today").addEventListener("toggle", () => byId("today").open && this.#today());
  }

  stop() {
    this.#ending.abort();
    this.#where.stop();
    clearInterval(this.#counting);
  }

  // Follows the unicorn by long polls until the sign-in ends.
  async start() {
    let begun = false;
    while (!this.#ending.signal.aborted) {
      try {
        await this.#look(begun);
        if (!begun) this.#where.begin(this.#unicorn.location);
        begun = true;
      } catch (error) {
        if (error.name === "AbortError") return;
        const refused = refusedIn(error);
        if (refused.status === 404) return this.#isStranger();
        if (refused.status === 403) return this.#turnAway(refused.text);
        if (refused.reason !== "offline") write(byId("duty-problem"), refused.text);
        await sleep(PAUSE_MILLISECONDS);
      }
    }
  }

  #isStranger() {
    show(byId("duty"), false);
    show(byId("stranger"), true);
    write(byId("account"), this.#session.claims.sub);
  }

  async #look(waits) {
    const headers = waits && this.#tag ? { Prefer: `wait=${WAIT_SECONDS}`, "If-None-Match": this.#tag } : {};
    const { status, data, tag } = await this.#api.call("GET", "/v1/fleet/me", { headers, signal: this.#ending.signal });
    this.#tag = tag;
    if (status === 200) this.#take(data);
  }

  #take({ unicorn, ride, advice = null }) {
    const before = this.#ride;
    this.#unicorn = unicorn;
    this.#ride = ride;
    this.#where.reporting = unicorn.accepting || ride !== null;
    this.#showDuty();
    this.#showAdvice(advice);
    const lost = before && !ride && before.status !== "in_progress" && before.ride_id !== this.#declined;
    if (lost) notice("The ride was taken back or canceled.", 6);
    if (before?.ride_id !== ride?.ride_id || before?.status !== ride?.status) this.#showRide();
  }

  #showDuty() {
    const { name, state, accepting, position_problem: problem } = this.#unicorn;
    show(byId("stranger"), false);
    show(byId("duty"), true);
    write(byId("unicorn-name"), name);
    const [text, kind] = STATES[state];
    write(byId("state"), accepting || state === "non_operational" ? text : `${text}, then off duty`);
    byId("state").className = `badge ${kind}`;
    write(byId("available"), accepting ? "Go off duty" : "Go on duty");
    byId("available").classList.toggle("primary", !accepting);
    write(byId("duty-problem"), problem ? `Your positions are ignored (${problem.replaceAll("_", " ")}).` : "");
  }

  // Shows where riders are expected. The driver need not go there.
  #showAdvice(advice) {
    this.#goal?.remove();
    this.#goal = advice && pin(map, advice, "Wait here", "to");
    show(byId("advice"), advice !== null);
    write(byId("advice"), advice ? `Riders are expected at ${degrees(advice)}: wait there if you like.` : "");
  }

  #showRide() {
    const ride = this.#ride;
    clearInterval(this.#counting);
    this.#pins.forEach((each) => each.remove());
    this.#pins = [];
    write(byId("ride-problem"), "");
    show(byId("ride"), ride !== null);
    show(byId("offer"), ride?.status === "offered");
    if (!ride) return;
    this.#pins = [pin(map, ride.pickup, "Pickup"), ...(ride.dropoff ? [pin(map, ride.dropoff, "Drop-off", "to")] : [])];
    write(byId("ride-title"), WORDS[ride.status]);
    write(byId("ride-text"), this.#about(ride));
    write(byId("ride-note"), ride.note ?? "");
    show(byId("ride-note"), Boolean(ride.note));
    byId("steps").replaceChildren(
      ...STEPS[ride.status].map(([step, text, kind]) =>
        acts(make("button", { type: "button", class: kind, "data-step": step }, text), () => this.#step(step)),
      ),
    );
    if (ride.status === "offered") this.#count(ride);
    if (document.querySelector("[name=source]:checked").value === "device") frame(map, [ride.pickup, this.#where.place]);
  }

  #about(ride) {
    const away = `${distance(ride.pickup_distance_metres)}, about ${duration(ride.pickup_eta_seconds)}`;
    const to = ride.dropoff ? `Drop-off at ${degrees(ride.dropoff)}.` : "The rider says where to.";
    if (ride.status === "offered" || ride.status === "matched") return `Pickup ${away} away, at ${degrees(ride.pickup)}.`;
    return to;
  }

  // Shows the time that is left, by the service's clock, because this device's may be wrong.
  #count(ride) {
    const ends = Date.parse(ride.offer_ends_at);
    const all = Math.max(1, (ends - this.#api.now()) / 1000);
    byId("countdown").max = all;
    const tick = () => {
      const left = Math.max(0, (ends - this.#api.now()) / 1000);
      byId("countdown").value = left;
      write(byId("left"), `${Math.ceil(left)} seconds left`);
    };
    tick();
    this.#counting = setInterval(tick, 250);
  }

  async #toggle() {
    try {
      const available = !this.#unicorn.accepting;
      // Going off duty declines an offer.
      if (!available && this.#ride?.status === "offered") this.#declined = this.#ride.ride_id;
      if (available) {
        this.#where.reporting = true;
        await this.#where.report();
      }
      const unicorn = await this.#api.put("/v1/fleet/me/availability", { available });
      // The long poll may have brought a newer state meanwhile.
      if (unicorn.version >= this.#unicorn.version) this.#take({ unicorn, ride: this.#ride });
    } catch (error) {
      write(byId("duty-problem"), refusedIn(error).text);
    }
  }

  async #step(step) {
    const { ride_id: id } = this.#ride;
    write(byId("ride-problem"), "");
    // Noted before the call: the long poll may report that the ride is gone before the call is answered.
    if (step === "decline") this.#declined = id;
    try {
      const ride = await this.#api.post(`/v1/fleet/me/rides/${id}/${step}`, this.#where.place ?? {});
      if (step === "complete") notice("Well driven. The next ride finds you.", 4);
      const isOver = step === "complete" || step === "decline";
      // The long poll may have brought a newer state or the next ride meanwhile.
      const isNewest = this.#ride?.ride_id === id && ride.version >= this.#ride.version;
      if (isNewest) this.#take({ unicorn: this.#unicorn, ride: isOver ? null : ride });
      if (byId("today").open) await this.#today();
    } catch (error) {
      const refused = refusedIn(error);
      if (this.#ride?.ride_id === id) write(byId("ride-problem"), refused.text);
    }
  }

  // Shows today's rides. Of several answers only that of the last call is shown.
  async #today() {
    const asked = ++this.#asked;
    try {
      const rides = await this.#ridesOfToday();
      if (asked !== this.#asked) return;
      const done = rides.filter((ride) => ride.status === "completed");
      write(byId("today-sum"), rides.length ? `${done.length} completed` : "No rides yet.");
      byId("rides").replaceChildren(...rides.map(entryOf));
    } catch (error) {
      write(byId("today-sum"), refusedIn(error).text);
    }
  }

  // The rides of today. The list is newest first, so it is read until a ride of yesterday comes.
  async #ridesOfToday() {
    const midnight = new Date(this.#api.now()).setHours(0, 0, 0, 0);
    const isOfToday = (ride) => Date.parse(ride.requested_at) >= midnight;
    const rides = [];
    let cursor = "";
    do {
      const page = await this.#api.get(`/v1/fleet/me/rides?limit=50${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      rides.push(...page.rides.filter(isOfToday));
      cursor = page.rides.every(isOfToday) ? page.next_cursor : null;
    } while (cursor);
    return rides;
  }
}

function entryOf(ride) {
  const kind = ride.status === "completed" ? "good" : "dull";
  const trip = `${degrees(ride.pickup)}${ride.dropoff ? ` to ${degrees(ride.dropoff)}` : ""}`;
  return make(
    "li",
    { class: "row" },
    make("div", { class: "grow" }, make("div", {}, time(ride.requested_at)), make("div", { class: "quiet small" }, trip)),
    make("span", { class: `badge ${kind}` }, ride.status.replace("_", " ")),
  );
}

let driver;
await begin("wildrydes/fleet.drive", (session, api, turnAway) => (driver = new Driver(session, api, turnAway)).start(), () => driver?.stop());
