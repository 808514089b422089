// The tab of all rides: find one, see it with its timeline, cancel it, or reassign it to another unicorn.
import { refusedIn } from "./api.js";
import { ask } from "./ask.js";
import { acts, byId, degrees, duration, make, moment, show, write } from "./dom.js";

const KINDS = { completed: "good", canceled: "dull", unmatched: "warn", requested: "warn" };
const OPEN = ["requested", "offered", "matched", "arrived", "in_progress"];
const HELD = ["offered", "matched", "arrived"];
const ODD = ["declined", "offer_expired", "fell_silent", "not_coming", "reassigned", "reconciled", "no_show", "unicorn_lost", "deadline_passed", "set_aside", "canceled_by_admin"];
const STEPS = {
  requested: "Requested", matched: "Matched by a round", offered: "Offered", accepted: "Accepted", declined: "Declined", offer_expired: "Offer expired",
  fell_silent: "Withdrawn: the unicorn fell silent", not_coming: "Withdrawn: it did not come nearer", reassigned: "Taken away by staff", reconciled: "Mended after a restore",
  arrived: "At the pickup", started: "Started", completed: "Completed", canceled_by_rider: "Canceled by the rider", canceled_by_admin: "Canceled by staff",
  no_show: "The rider did not come", unicorn_lost: "The unicorn was lost on the way", deadline_passed: "Nobody was found in time", set_aside: "Set aside after a crash", replayed: "Requested again by staff",
};

export class RidesTab {
  #api;
  #map;
  #cursor = null;

  constructor(api, map) {
    this.#api = api;
    this.#map = map;
    for (const id of ["ride-status", "ride-by", "ride-id"]) byId(id).addEventListener("change", () => this.open());
    acts(byId("rides-more"), () => this.#list(this.#cursor));
  }

  open() {
    return this.#list(null);
  }

  #query(cursor) {
    const query = new URLSearchParams({ limit: 25 });
    const [status, by, id] = ["ride-status", "ride-by", "ride-id"].map((each) => byId(each).value.trim());
    if (status) query.set("status", status);
    if (by && id) query.set(by, id);
    if (cursor) query.set("cursor", cursor);
    return query;
  }

  async #list(cursor) {
    try {
      const page = await this.#api.get(`/v1/admin/rides?${this.#query(cursor)}`);
      this.#cursor = page.next_cursor;
      show(byId("rides-more"), Boolean(page.next_cursor));
      if (!cursor) byId("ride-list").replaceChildren();
      byId("ride-list").append(...page.rides.map((ride) => this.#entry(ride)));
      if (!cursor && !page.rides.length) byId("ride-list").append(make("li", { class: "quiet" }, "No rides like these."));
      write(byId("rides-problem"), "");
    } catch (error) {
      write(byId("rides-problem"), refusedIn(error).text);
    }
  }

  #entry(ride) {
    const about = make("span", { class: "grow" }, moment(ride.requested_at), make("span", { class: "quiet small" }, ` ${ride.unicorn?.name ?? "no unicorn"}`));
    return make("li", {}, make("button", { class: "pick", onclick: () => this.choose(ride.ride_id) }, about, make("span", { class: `badge ${KINDS[ride.status] ?? ""}` }, ride.status.replace("_", " "))));
  }

  // Shows one ride with its timeline above the list.
  async choose(id) {
    try {
      const [ride, timeline] = await Promise.all([this.#api.get(`/v1/admin/rides/${id}`), this.#api.get(`/v1/admin/rides/${id}/timeline`)]);
      this.#showRide(ride, timeline);
      write(byId("rides-problem"), "");
    } catch (error) {
      write(byId("rides-problem"), refusedIn(error).text);
    }
  }

  #showRide(ride, timeline) {
    const facts = {
      Ride: ride.ride_id,
      Rider: ride.rider_id,
      Unicorn: ride.unicorn ? `${ride.unicorn.name} (${ride.unicorn.unicorn_id})` : "none",
      Pickup: degrees(ride.pickup),
      "Drop-off": ride.dropoff ? degrees(ride.dropoff) : "open",
      "Pickup ETA": duration(ride.pickup_eta_seconds),
      Note: ride.note,
      Attention: ride.attention === "not_coming" ? "its unicorn does not come" : null,
    };
    byId("ride").replaceChildren(
      make("div", { class: "row" }, make("h3", { class: "grow", tabindex: -1 }, `Ride of ${moment(ride.requested_at)}`), make("span", { class: `badge ${KINDS[ride.status] ?? ""}` }, ride.status.replace("_", " "))),
      make("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
      make("ol", { class: "timeline" }, timeline.steps.flatMap((step, index) => stepsOf(step, index, timeline))),
      make("div", { class: "buttons" }, this.#buttons(ride)),
    );
    show(byId("ride"), true);
    byId("ride").querySelector("h3").focus();
  }

  #buttons(ride) {
    const path = `/v1/admin/rides/${ride.ride_id}`;
    const button = (text, work, kind = "") => acts(make("button", { type: "button", class: `slim ${kind}` }, text), work);
    const buttons = [button("Show on map", async () => this.#map.show(ride.pickup))];
    if (HELD.includes(ride.status)) buttons.push(button("Reassign", () => this.#change(ride, `${path}/reassign`, "Take this ride from its unicorn?", "Another one is looked for; this one never gets it again.", "Reassign")));
    if (OPEN.includes(ride.status)) buttons.push(button("Cancel ride", () => this.#change(ride, `${path}/cancel`, "Cancel this ride?", "The rider is told that the operator canceled it.", "Cancel ride"), "danger"));
    return [...buttons, button("Close", async () => show(byId("ride"), false))];
  }

  async #change(ride, path, question, more, yes) {
    if (!(await ask(question, more, yes))) return;
    try {
      await this.#api.post(path);
    } catch (error) {
      write(byId("rides-problem"), refusedIn(error).text);
      return;
    }
    await Promise.all([this.choose(ride.ride_id), this.open()]);
  }
}

function stepsOf(step, index, { left_out: leftOut }) {
  const about = make("li", { class: ODD.includes(step.step) ? "odd" : "" }, STEPS[step.step] ?? step.step, make("div", { class: "quiet small number" }, [moment(step.at), step.unicorn_id].filter(Boolean).join(" · ")));
  return index === 0 && leftOut ? [about, make("li", { class: "quiet" }, `${leftOut} steps left out`)] : [about];
}
