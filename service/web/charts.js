// The last hour, a bar or a point a minute.
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

const seconds = (value) => (value === null ? "–" : `${value.toFixed(1)} s`);

export function timeToMatch({ minutes, time_to_match_p50_seconds: p50, time_to_match_p90_seconds: p90, matches }) {
  const most = Math.max(5, ...minutes.map((each) => each.time_to_match_p90_seconds ?? 0));
  const step = WIDTH / minutes.length;
  const bars = (name, key) =>
    minutes.flatMap((each, index) => {
      if (each[key] === null) return [];
      const height = Math.max(2, (each[key] / most) * HEIGHT);
      return [shape("rect", { class: name, x: index * step + 1, y: HEIGHT - height, width: step - 2, height, rx: 2 })];
    });
  const label = `Time to match over the last hour: half within ${seconds(p50)}, nine of ten within ${seconds(p90)}, ${matches} matches`;
  const shapes = [...bars("p90", "time_to_match_p90_seconds"), ...bars("p50", "time_to_match_p50_seconds")];
  const sum = make("p", { class: "small quiet" }, `${matches} matches: half within ${seconds(p50)} (dark), nine of ten within ${seconds(p90)} (pale)`);
  return [sum, ...chart(label, shapes, Math.ceil(most), "s")];
}

const percent = (share) => (share === null ? "–" : `${Math.round(share * 100)} %`);

export function busyShare({ minutes, busy_share: share }) {
  const points = minutes.flatMap((each, index) => {
    if (each.busy_share === null) return [];
    return [[((index + 0.5) / minutes.length) * WIDTH, HEIGHT - each.busy_share * HEIGHT]];
  });
  const line = points.map((at) => at.join(",")).join(" ");
  const shapes = [];
  if (points.length) {
    const [first, last] = [points[0][0], points.at(-1)[0]];
    shapes.push(shape("polygon", { class: "area", points: `${first},${HEIGHT} ${line} ${last},${HEIGHT}` }), shape("polyline", { class: "curve", points: line }));
  }
  const sum = make("p", { class: "small quiet" }, `${percent(share)} of the unicorns on duty had a ride`);
  return [sum, ...chart(`Busy share over the last hour: ${percent(share)}`, shapes, 100, "%")];
}
