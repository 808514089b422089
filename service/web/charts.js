// Charts of the last hour, with a bar for each minute.
import { make } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 96;

function shape(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function chart(label, shapes, most, unit) {
  const svg = shape("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  svg.append(shape("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), shape("line", { x1: 0, x2: WIDTH, y1: 0, y2: 0, "stroke-dasharray": "2 5" }), ...shapes);
  const legend = make("div", { class: "legend" }, make("span", {}, "an hour ago"), make("span", {}, `top line: ${most} ${unit}`), make("span", {}, "now"));
  return [svg, legend];
}

// A bar for each minute that has the value. Even a single minute, as on a new stack, is visible.
function bars(kind, minutes, key, most) {
  const step = WIDTH / minutes.length;
  return minutes.flatMap((each, index) => {
    if (each[key] === null) return [];
    const height = Math.max(2, (each[key] / most) * HEIGHT);
    return [shape("rect", { class: kind, x: index * step + 1, y: HEIGHT - height, width: step - 2, height, rx: 2 })];
  });
}

const seconds = (value) => (value === null ? "–" : `${value.toFixed(1)} s`);

export function timeToMatch({ minutes, time_to_match_p50_seconds: p50, time_to_match_p90_seconds: p90, matches }) {
  const most = Math.max(5, ...minutes.map((each) => each.time_to_match_p90_seconds ?? 0));
  const label = `Time to match over the last hour: half within ${seconds(p50)}, nine of ten within ${seconds(p90)}`;
  const shapes = [...bars("p90", minutes, "time_to_match_p90_seconds", most), ...bars("p50", minutes, "time_to_match_p50_seconds", most)];
  const count = matches === 1 ? "1 match" : `${matches} matches`;
  const sum = make("p", { class: "small quiet" }, `${count}: half within ${seconds(p50)} (dark), nine of ten within ${seconds(p90)} (pale)`);
  return [sum, ...chart(label, shapes, Math.ceil(most), "s")];
}

const percent = (share) => (share === null ? "–" : `${Math.round(share * 100)} %`);

export function busyShare({ minutes, busy_share: share }) {
  const sum = make("p", { class: "small quiet" }, `${percent(share)} of the unicorns on duty had a ride`);
  return [sum, ...chart(`Busy share over the last hour: ${percent(share)}`, bars("p50", minutes, "busy_share", 1), 100, "%")];
}
