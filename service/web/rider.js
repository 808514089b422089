// The rider's page: choose places, see an estimate, request a ride, follow, cancel and rate it.
import { refusedIn } from "./api.js";
import { acts, byId, fault, make, notice, show, write } from "./dom.js";
import { createMap, frame, pin, Steed } from "./map.js";
import { faults, Places } from "./places.js";
import { bodyOf, entryOf, estimateOf, isOver, ratingForm, wordsOf } from "./ride_view.js";
import { begin } from "./shell.js";
import { Stream } from "./stream.js";

const NEARBY_MILLISECONDS = 8000;
const SCOPES = "wildrydes/rides.read wildrydes/rides.write";
const map = createMap(byId("map"));

class Rider {
  #api;
  #places = new Places(map, () => this.#expect());
  #ride = null;
  #live = null;
  #stream = null;
  #key = null;
  #marks = [];
  #steed = null;
  #nearby = [];
  #asked = 0;
  #listed = 0;
  #cursor = null;
  #timer;

  constructor(api) {
    this.#api = api;
    byId("order").addEventListener("submit", (event) => event.preventDefault());
    byId("note").addEventListener("input", () => (this.#key = null));
    acts(byId("request"), () => this.#request());
    acts(byId("here"), () => this.#here());
    acts(byId("clear"), async () => this.#places.set("dropoff", null));
    acts(byId("more"), () => this.#list(this.#cursor));
    this.#timer = setInterval(() => this.#lookAround(), NEARBY_MILLISECONDS);
  }

  stop() {
    clearInterval(this.#timer);
    this.#stream?.close();
  }

  // Shows the rider's open ride. Without one, shows the form for an order.
  async start() {
    const rides = await this.#list(null);
    const open = rides.find((ride) => !isOver(ride));
    if (open) this.#follow(open);
    else this.#choose();
  }

  #choose() {
    this.#leaveRide();
    show(byId("ride"), false);
    show(byId("order"), true);
    this.#places.enable(true);
    this.#lookAround();
  }

  #leaveRide() {
    this.#stream?.close();
    this.#leaveSteed();
    this.#marks.forEach((mark) => mark.remove());
    this.#stream = this.#ride = null;
    this.#marks = [];
  }

  #leaveSteed() {
    this.#steed?.remove();
    this.#steed = this.#live = null;
  }

  // Shows the available unicorns around the middle of the map.
  async #lookAround() {
    if (byId("order").hidden || document.hidden) return;
    const { lat, lng } = map.getCenter().wrap();
    const found = await this.#api.get(`/v1/unicorns/nearby?latitude=${lat.toFixed(4)}&longitude=${lng.toFixed(4)}`).catch(() => null);
    if (!found || byId("order").hidden) return;
    this.#nearby.forEach((each) => each.remove());
    this.#nearby = found.unicorns.map((each) => new Steed(map, each.location, each.name, 30, "far"));
  }

  // Sets the pickup to the device's place, unless the person has chosen another one meanwhile.
  async #here() {
    const before = this.#places.pickup;
    const found = await new Promise((resolve) =>
      navigator.geolocation.getCurrentPosition((at) => resolve(at.coords), () => resolve(null), { timeout: 10_000 }),
    );
    if (byId("order").hidden || this.#places.pickup !== before) return;
    if (!found) return fault("pickup", "This device does not say where it is. Tap the map instead.");
    this.#places.set("pickup", { latitude: found.latitude, longitude: found.longitude });
    map.setView([found.latitude, found.longitude], 16);
  }

  // Shows the estimate of a changed order. The new order is another ride, so it gets another idempotency key. Only the
  // newest estimate is shown.
  async #expect() {
    this.#key = null;
    const { pickup, dropoff } = this.#places;
    const asked = ++this.#asked;
    write(byId("order-problem"), "");
    byId("request").disabled = !pickup;
    if (!pickup) return byId("expect").replaceChildren();
    try {
      const estimate = await this.#api.post("/v1/estimates", { pickup, dropoff });
      if (asked === this.#asked) byId("expect").replaceChildren(estimateOf(estimate));
    } catch (error) {
      const refused = refusedIn(error);
      if (asked === this.#asked) this.#refuseOrder(refused);
    }
  }

  #refuseOrder(refused) {
    if (!faults(refused, ["pickup", "dropoff", "note"])) write(byId("order-problem"), refused.text);
    if (!byId("note-fault").hidden && byId("note-fault").textContent) byId("note-part").open = true;
  }

  // Requests the ride. The same order keeps its idempotency key, so that a repeated request makes no second ride.
  async #request() {
    const { pickup, dropoff } = this.#places;
    if (!pickup) return fault("pickup", "Say where you are to be picked up.");
    this.#key ??= crypto.randomUUID();
    write(byId("order-problem"), "");
    fault("note", "");
    try {
      const order = { pickup, dropoff, note: byId("note").value.trim() || null };
      const ride = await this.#api.post("/v1/rides", order, { "Idempotency-Key": this.#key });
      this.#key = null;
      byId("note").value = "";
      this.#follow(ride);
    } catch (error) {
      const refused = refusedIn(error);
      this.#refuseOrder(refused);
    }
  }

  #follow(ride) {
    this.#leaveRide();
    this.#nearby.forEach((each) => each.remove());
    this.#places.enable(false);
    show(byId("order"), false);
    show(byId("ride"), true);
    this.#marks = [pin(map, ride.pickup, "Pickup"), ...(ride.dropoff ? [pin(map, ride.dropoff, "Drop-off", "to")] : [])];
    this.#take(ride);
    this.#frameRide();
    byId("ride-title").tabIndex = -1;
    byId("ride-title").focus();
    this.#listen();
  }

  #listen() {
    this.#stream = new Stream(this.#api, `/v1/rides/${this.#ride.ride_id}/events`, {
      ride: (ride) => this.#update(ride),
      live: (live) => this.#move(live),
      end: ({ reason, refused }) => this.#ended(reason, refused),
    });
  }

  #ended(reason, refused) {
    const words = {
      superseded: "You follow this ride in another window.",
      ride_not_found: "This ride is no longer there.",
    };
    if (reason === "superseded") this.#act("Follow it here", async () => this.#followHere());
    if (reason !== "ride_ended") write(byId("ride-problem"), refused?.text ?? words[reason] ?? "");
  }

  // Follows the ride on this page. Removes its own button first, because a second press would open a second stream.
  #followHere() {
    this.#showActions();
    byId("ride-title").focus();
    this.#listen();
  }

  // Shows news of a ride, unless the page already shows a newer version of it, or another ride.
  #update(ride) {
    if (this.#isShown(ride.ride_id) && ride.version >= this.#ride.version) this.#take(ride);
  }

  #isShown(id) {
    return this.#ride?.ride_id === id;
  }

  #take(ride) {
    const isOther = this.#ride?.unicorn?.unicorn_id !== ride.unicorn?.unicorn_id;
    const news = this.#ride?.status !== ride.status || isOther;
    if (isOther) this.#leaveSteed();
    this.#ride = ride;
    write(byId("ride-problem"), "");
    this.#showRide();
    if (news) this.#showActions();
    if (isOver(ride)) {
      this.#leaveSteed();
      this.#list(null).catch(() => {});
    }
    if (news && ride.status === "matched") this.#move({ ...this.#live, location: ride.unicorn.location });
  }

  #showRide() {
    const [title, text] = wordsOf(this.#ride, this.#live);
    write(byId("ride-title"), title);
    write(byId("ride-text"), text);
    byId("ride-body").replaceChildren(...bodyOf(this.#ride, this.#live));
    document.title = `${title} · Wild Rydes`;
  }

  #move(live) {
    this.#live = live;
    this.#showRide();
    if (!live.location) return;
    if (this.#steed) return this.#steed.moveTo(live.location);
    this.#steed = new Steed(map, live.location, this.#ride.unicorn?.name ?? "Unicorn");
    this.#frameRide();
  }

  #frameRide() {
    const { pickup, dropoff, status } = this.#ride;
    const steed = this.#live?.location ? [this.#live.location] : [];
    frame(map, status === "in_progress" && dropoff ? [dropoff, pickup, ...steed] : [pickup, ...steed]);
  }

  #showActions() {
    byId("ride-actions").replaceChildren();
    const { status } = this.#ride;
    if (["requested", "offered", "matched", "arrived"].includes(status)) this.#act("Cancel this ride", () => this.#cancel(), "danger");
    if (status === "completed") byId("ride-actions").append(ratingForm(this.#ride, (stars, comment) => this.#rate(stars, comment)));
    if (isOver(this.#ride)) this.#act("Another ride", async () => this.#choose(), "primary great");
  }

  #act(text, work, kind = "") {
    byId("ride-actions").append(acts(make("button", { type: "button", class: kind }, text), work));
  }

  async #cancel() {
    const { ride_id: id } = this.#ride;
    try {
      this.#update(await this.#api.post(`/v1/rides/${id}/cancel`));
    } catch (error) {
      const refused = refusedIn(error);
      if (this.#isShown(id)) write(byId("ride-problem"), refused.text);
    }
  }

  async #rate(stars, comment) {
    write(byId("stars-fault"), stars ? "" : "Choose one to five stars.");
    if (!stars) return;
    const { ride_id: id } = this.#ride;
    try {
      await this.#api.post(`/v1/rides/${id}/rating`, { stars, comment });
      notice("Thank you for rating.", 3);
      await this.#list(null);
    } catch (error) {
      const refused = refusedIn(error);
      if (!this.#isShown(id)) return notice(refused.text, 6);
      if (!faults(refused, ["comment"])) write(byId("stars-fault"), refused.text);
    }
  }

  // Shows a page of the rider's rides; the first page replaces the list. Of several answers only that of the last call is
  // shown.
  async #list(cursor) {
    const asked = ++this.#listed;
    try {
      const page = await this.#api.get(`/v1/rides?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      if (asked !== this.#listed) return page.rides;
      this.#cursor = page.next_cursor;
      show(byId("more"), Boolean(page.next_cursor));
      if (!cursor) byId("rides").replaceChildren();
      byId("rides").append(...page.rides.map(entryOf));
      if (!cursor && !page.rides.length) byId("rides").append(make("li", { class: "quiet" }, "None yet."));
      return page.rides;
    } catch (error) {
      const refused = refusedIn(error);
      notice(refused.text, 6);
      return [];
    }
  }
}

let rider;
await begin(SCOPES, (session, api) => (rider = new Rider(api)).start(), () => rider?.stop());
