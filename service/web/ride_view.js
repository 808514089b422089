// Shows a ride to its rider, in words and elements.
import { acts, asset, distance, duration, make, moment } from "./dom.js";

const ENDS = { completed: "good", canceled: "dull", unmatched: "warn" };
export const isOver = (ride) => ride.status in ENDS;

const WORDS = {
  requested: ["Looking for your unicorn…", "It takes a moment. You can put the phone away."],
  offered: ["Asking a unicorn…", "One nearby is deciding."],
  arrived: ["It is here", "Your unicorn waits at the pickup."],
  in_progress: ["Enjoy the ride", "You are on your way."],
  completed: ["You have arrived", "Thank you for riding."],
  unmatched: ["No unicorn this time", "All are busy or too far away. Request again in a while; nothing was charged."],
};
const CANCELED = {
  rider: "You canceled this ride.",
  admin: "The operator canceled this ride.",
  system: "The ride was canceled because it could not go on.",
};

// The title and the text for the ride's status.
export function wordsOf(ride, live) {
  if (ride.status === "canceled") return ["Canceled", ride.cancel_reason ?? CANCELED[ride.canceled_by] ?? ""];
  const planned = live?.planned_pickup_eta_seconds ?? null;
  if (ride.status === "requested" && planned !== null) {
    return ["A unicorn is planned for you", `It is still on a ride and should be with you in ${duration(planned)}.`];
  }
  if (ride.status === "matched") return [`${ride.unicorn.name} is on the way`, "Watch it come on the map."];
  return WORDS[ride.status];
}

export function steed(unicorn) {
  const about = make("div", {}, make("h3", {}, unicorn.name), make("p", { class: "quiet small" }, `${unicorn.color} · ${unicorn.gender}`));
  return make("div", { class: "card steed" }, make("img", { src: asset("unicorn.svg"), alt: "" }), about);
}

// The elements that show the ride, apart from title and text.
export function bodyOf(ride, live) {
  const parts = [];
  if (ride.status === "requested" || ride.status === "offered") parts.push(make("div", { class: "progress" }, make("i")));
  if (ride.status === "matched") parts.push(eta(ride, live));
  if (ride.unicorn) parts.push(steed(ride.unicorn));
  return parts;
}

function eta(ride, live) {
  const seconds = live?.pickup_eta_seconds ?? ride.pickup_eta_seconds;
  const latest = live?.pickup_eta_latest_seconds ?? ride.pickup_eta_latest_seconds;
  const later = latest !== null && duration(latest) !== duration(seconds);
  return make(
    "div",
    { id: "eta" },
    make("p", { class: "big rainbow" }, duration(seconds)),
    make("p", { class: "quiet small" }, later ? `to your pickup, ${duration(latest)} at the latest` : "to your pickup"),
  );
}

export function estimateOf(estimate) {
  const { pickup_eta_seconds: pickup, pickup_eta_latest_seconds: latest, trip_seconds: trip } = estimate;
  const entries = [
    ["Pickup in", pickup === null ? "no unicorn free" : duration(pickup), latest && duration(latest) !== duration(pickup) ? `${duration(latest)} at the latest` : ""],
    trip === null ? null : ["Trip", duration(trip), distance(estimate.trip_metres)],
    ["Nearby", String(estimate.available_nearby), "free unicorns"],
  ];
  return make(
    "dl",
    { class: "figures card" },
    entries.filter(Boolean).map(([name, value, more]) => make("div", {}, make("dt", {}, name), make("dd", {}, value, more && make("small", {}, more)))),
  );
}

// The form for five stars and a comment, which `rate` sends.
export function ratingForm(ride, rate) {
  const stars = [1, 2, 3, 4, 5].map((count) =>
    make(
      "label",
      {},
      make("input", { type: "radio", name: "stars", value: count, checked: ride.rating?.stars === count }),
      make("span", { "aria-hidden": "true" }, "★"),
      make("span", { class: "unseen" }, `${count} of 5 stars`),
    ),
  );
  const comment = make("input", { id: "comment", maxlength: 280, placeholder: "A word about it", value: ride.rating?.comment ?? "", "aria-describedby": "comment-fault" });
  const chosen = () => Number(document.querySelector("[name=stars]:checked")?.value ?? 0);
  const send = acts(make("button", { type: "button", id: "rate" }, ride.rating ? "Change rating" : "Rate"), () => rate(chosen(), comment.value.trim() || null));
  return make(
    "div",
    { class: "stack tight" },
    make("fieldset", { class: "stars" }, make("legend", {}, "How was it?"), stars),
    make("p", { class: "fault", id: "stars-fault", role: "alert" }),
    make("div", { class: "row" }, make("label", { class: "unseen", for: "comment" }, "Comment"), comment, send),
    make("p", { class: "fault", id: "comment-fault", role: "alert" }),
  );
}

const STATUS = { requested: "waiting", offered: "waiting", matched: "on the way", arrived: "here", in_progress: "riding", completed: "completed", canceled: "canceled", unmatched: "no unicorn" };

export function entryOf(ride) {
  const stars = ride.rating ? `${"★".repeat(ride.rating.stars)} ` : "";
  return make(
    "li",
    { class: "row" },
    make("div", { class: "grow" }, make("div", {}, moment(ride.requested_at)), make("div", { class: "quiet small" }, stars, ride.unicorn?.name ?? "no unicorn")),
    make("span", { class: `badge ${ENDS[ride.status] ?? ""}` }, STATUS[ride.status]),
  );
}
