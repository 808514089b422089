// The page of staff: the live city, and tabs for rides, fleet, service and audit.
import { refusedIn } from "./api.js";
import { AuditTab } from "./audit_tab.js";
import { busyShare, timeToMatch } from "./charts.js";
import { City } from "./city.js";
import { byId, degrees, make, settings, show, write } from "./dom.js";
import { FleetTab } from "./fleet_tab.js";
import { createMap, frame, point } from "./map.js";
import { RidesTab } from "./rides_tab.js";
import { ServiceTab } from "./service_tab.js";
import { begin } from "./shell.js";
import { Stream } from "./stream.js";

const SECOND = 1000;
const LOOK_MILLISECONDS = 15_000;
const SHOWN_WAITING = 50;
const NAMES = ["city", "rides", "fleet", "service", "audit"];
const STATES = { available: "Free", reserved: "To a pickup", on_trip: "Driving", non_operational: "Off duty" };
const map = createMap(byId("map"), { zoomAnimation: false });

class Console {
  #api;
  #city = new City(map);
  #tabs;
  #stream;
  #timers;

  constructor(api, isAdmin) {
    this.#api = api;
    const rides = new RidesTab(api, { show: (place) => map.setView(point(place), 16) });
    const fleet = new FleetTab(api, isAdmin, { show: (place) => map.setView(point(place), 16), rides: (id) => this.#ridesOf(id) });
    this.#tabs = { rides, fleet, service: new ServiceTab(api, isAdmin, (id) => this.#showRide(id)), audit: new AuditTab(api) };
    this.#wireTabs();
    map.on("click", (event) => this.#pick(event.containerPoint));
    this.#timers = [setInterval(() => this.#count(), SECOND), setInterval(() => this.#look(), LOOK_MILLISECONDS)];
  }

  stop() {
    this.#stream?.close();
    this.#timers.forEach(clearInterval);
    this.#tabs.service.close();
  }

  start() {
    this.#open("city");
    this.#look();
    let framed = false;
    this.#stream = new Stream(this.#api, "/v1/admin/events", {
      open: () => show(byId("stale"), false),
      broken: () => show(byId("stale"), true),
      snapshot: (data) => {
        this.#city.reset(data);
        if (!framed) frame(map, data.unicorns.map((each) => each.location));
        framed = true;
        this.#count();
      },
      changes: (data) => this.#city.change(data),
      end: ({ reason, refused }) => this.#ended(reason, refused),
    });
  }

  #ended(reason, refused) {
    const words = { superseded: "The live map is open in too many windows; this one stands still. Reload to go on." };
    write(byId("stale"), refused?.text ?? words[reason] ?? reason);
    show(byId("stale"), true);
  }

  #wireTabs() {
    for (const name of NAMES) byId(`tab-${name}`).addEventListener("click", () => this.#open(name));
    document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = NAMES[(NAMES.indexOf(event.target.id.slice(4)) + step + NAMES.length) % NAMES.length];
      this.#open(next);
      byId(`tab-${next}`).focus();
    });
  }

  #open(name) {
    for (const each of NAMES) {
      show(byId(each), each === name);
      byId(`tab-${each}`).setAttribute("aria-selected", String(each === name));
      byId(`tab-${each}`).tabIndex = each === name ? 0 : -1;
    }
    this.#tabs.service.close();
    this.#tabs[name]?.open();
  }

  #pick(at) {
    const thing = this.#city.at(at);
    if (!thing) return;
    if (thing.state === undefined) return this.#showRide(thing.ride_id);
    this.#open("fleet");
    this.#tabs.fleet.choose(thing.unicorn_id);
  }

  #showRide(id) {
    this.#open("rides");
    this.#tabs.rides.choose(id);
  }

  #ridesOf(unicornId) {
    byId("ride-by").value = "unicorn_id";
    byId("ride-id").value = unicornId;
    this.#open("rides");
  }

  // Shows how many unicorns are in each state, and how long rides have waited. Runs once a second.
  #count() {
    if (byId("city").hidden || document.hidden) return;
    const counts = Object.fromEntries(Object.keys(STATES).map((state) => [state, 0]));
    for (const each of this.#city.unicorns.values()) counts[each.state] += 1;
    const entries = [...Object.entries(STATES).map(([state, name]) => [state, name, counts[state]]), ["waits", "Waiting", this.#city.rides.size], ["sent", "Sent ahead", this.#city.advised]];
    byId("counts").replaceChildren(
      ...entries.map(([state, name, count]) => make("div", {}, make("dt", {}, make("span", { class: `key ${state}` }), name), make("dd", {}, String(count)))),
    );
    this.#listWaiting();
  }

  #listWaiting() {
    const rides = [...this.#city.rides.values()].sort((a, b) => a.requested_at.localeCompare(b.requested_at));
    const ids = rides.map((ride) => ride.ride_id).join();
    const list = byId("waiting");
    if (list.dataset.ids !== ids) {
      list.dataset.ids = ids;
      list.replaceChildren(...rides.slice(0, SHOWN_WAITING).map((ride) => this.#waitingEntry(ride)));
      if (!rides.length) list.append(make("li", { class: "quiet" }, "Nobody waits."));
    }
    for (const age of list.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, Math.round((this.#api.now() - Date.parse(age.dataset.since)) / SECOND));
      write(age, `${seconds} s`);
      age.classList.toggle("warn", seconds > 60);
    }
  }

  #waitingEntry(ride) {
    const planned = ride.planned_unicorn_id ? `planned: ${ride.planned_unicorn_id}` : "no unicorn yet";
    const pick = make("button", { class: "pick", onclick: () => this.#showRide(ride.ride_id) }, make("span", { class: "grow" }, degrees(ride.pickup), make("span", { class: "quiet small" }, ` ${planned}`)), make("span", { class: "badge number", "data-since": ride.requested_at }));
    return make("li", {}, pick);
  }

  #look() {
    if (document.hidden) return;
    this.#advise();
    if (!byId("city").hidden) this.#statistics();
  }

  async #advise() {
    try {
      const { advice } = await this.#api.get("/v1/admin/advice");
      this.#city.advise(advice);
    } catch (error) {
      refusedIn(error);
      this.#city.advise([]); // old arrows would lie
    }
  }

  async #statistics() {
    try {
      const statistics = await this.#api.get("/v1/admin/statistics");
      byId("chart-match").replaceChildren(...timeToMatch(statistics));
      byId("chart-busy").replaceChildren(...busyShare(statistics));
    } catch (error) {
      byId("chart-match").replaceChildren(make("p", { class: "quiet small" }, refusedIn(error).text));
    }
  }
}

let board;
await begin(
  "wildrydes/admin",
  (session, api, turnAway) => {
    const isAdmin = session.isIn(settings.admins);
    if (!isAdmin && !session.isIn(settings.dispatchers)) return turnAway("The console is for admins and dispatchers. Sign out and in with such an account.");
    write(byId("role"), isAdmin ? "admin" : "dispatcher");
    if (!isAdmin) document.querySelectorAll("[data-admin]").forEach((each) => each.remove());
    (board = new Console(api, isAdmin)).start();
  },
  () => board?.stop(),
);
