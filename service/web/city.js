// Draws thousands of unicorns on one canvas over the map. Each glides to its next place.
const { L } = globalThis;
const GLIDE_MILLISECONDS = 1500;
const FRAME_MILLISECONDS = 30; // 30 pictures a second are smooth for dots that glide, at half the work
const PICK_PIXELS = 16;
const SIZES = { dot: 9, ring: 12 };
const ARROW = { head: 7, nearest: 6, width: 2 }; // pixels; a goal nearer than that has no arrow
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
export const COLOURS = { available: "free", reserved: "reserved", on_trip: "trip", non_operational: "off", non_contactable: "off" };

// A place as coordinates from 0 to 1 in the square of Web Mercator.
function squared({ latitude, longitude }) {
  const { x, y } = L.CRS.EPSG3857.latLngToPoint(L.latLng(latitude, longitude), 0);
  return [x / 256, y / 256];
}

export class City {
  #map;
  #canvas = document.createElement("canvas");
  #pen = this.#canvas.getContext("2d");
  #sprites = {};
  #unicorns = new Map();
  #rides = new Map();
  #goals = new Map();
  #until = 0;
  #frame = 0;
  #drawn = 0;
  #arrow = "";

  constructor(map) {
    this.#map = map;
    this.#canvas.className = "city-layer";
    map.getContainer().append(this.#canvas);
    this.#dress();
    this.#fit();
    map.on("resize", () => this.#fit());
    map.on("move zoom", () => this.#draw(performance.now()));
    dark.addEventListener("change", () => (this.#dress(), this.#animate(0)));
  }

  get unicorns() {
    return this.#unicorns;
  }

  get rides() {
    return this.#rides;
  }

  // Shows this in place of everything that was shown.
  reset({ unicorns, waiting_rides: rides }) {
    this.#unicorns.clear();
    this.#rides.clear();
    this.change({ unicorns, waiting_rides: rides, gone_unicorns: [], gone_rides: [] });
  }

  change({ unicorns, gone_unicorns: gone, waiting_rides: rides, gone_rides: matched }) {
    const now = performance.now();
    for (const id of gone) this.#unicorns.delete(id);
    for (const id of matched) this.#rides.delete(id);
    for (const each of unicorns) this.#move(each, now);
    for (const each of rides) this.#rides.set(each.ride_id, { ...each, at: squared(each.pickup) });
    this.#animate(still.matches ? 0 : GLIDE_MILLISECONDS);
  }

  // Shows where idle unicorns are sent to wait, by an arrow from each to its goal.
  advise(advice) {
    this.#goals = new Map(advice.map((each) => [each.unicorn_id, squared(each)]));
    this.#animate(0);
  }

  // The number of unicorns that are on their way to such a goal.
  get advised() {
    return [...this.#goals.keys()].filter((id) => isIdle(this.#unicorns.get(id))).length;
  }

  #move(unicorn, now) {
    const to = squared(unicorn.location);
    const before = this.#unicorns.get(unicorn.unicorn_id);
    const from = before && !still.matches ? placed(before, now) : to;
    this.#unicorns.set(unicorn.unicorn_id, { ...unicorn, from, to, since: now });
  }

  // The unicorn or waiting ride at a point of the map's container; null if there is none.
  at({ x, y }) {
    const { scale, left, top } = this.#view();
    const now = performance.now();
    let [best, nearest] = [null, PICK_PIXELS];
    const look = (thing, [u, v]) => {
      const away = Math.hypot(u * scale - left - x, v * scale - top - y);
      if (away < nearest) [best, nearest] = [thing, away];
    };
    for (const each of this.#unicorns.values()) look(each, placed(each, now));
    for (const each of this.#rides.values()) look(each, each.at);
    return best;
  }

  #view() {
    const { min } = this.#map.getPixelBounds();
    return { scale: 256 * 2 ** this.#map.getZoom(), left: min.x, top: min.y };
  }

  #fit() {
    const { x, y } = this.#map.getSize();
    this.#canvas.width = x * devicePixelRatio;
    this.#canvas.height = y * devicePixelRatio;
    this.#canvas.style.width = `${x}px`;
    this.#canvas.style.height = `${y}px`;
    this.#draw(performance.now());
  }

  #animate(milliseconds) {
    this.#until = performance.now() + milliseconds;
    if (this.#frame) return;
    const step = (now) => {
      if (now - this.#drawn >= FRAME_MILLISECONDS || now >= this.#until) this.#draw(now);
      this.#frame = now < this.#until ? requestAnimationFrame(step) : 0;
    };
    this.#frame = requestAnimationFrame(step);
  }

  #draw(now) {
    this.#drawn = now;
    const pen = this.#pen;
    const { scale, left, top } = this.#view();
    const ratio = devicePixelRatio;
    pen.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const put = (sprite, [u, v]) => {
      const x = (u * scale - left) * ratio - sprite.width / 2;
      const y = (v * scale - top) * ratio - sprite.height / 2;
      if (x > -40 && y > -40 && x < this.#canvas.width && y < this.#canvas.height) pen.drawImage(sprite, x, y);
    };
    const place = ([u, v]) => [(u * scale - left) * ratio, (v * scale - top) * ratio];
    pen.strokeStyle = pen.fillStyle = this.#arrow;
    pen.lineWidth = ARROW.width * ratio;
    for (const [id, goal] of this.#goals) {
      const unicorn = this.#unicorns.get(id);
      if (isIdle(unicorn)) drawArrow(pen, place(placed(unicorn, now)), place(goal), ratio);
    }
    for (const each of this.#unicorns.values()) {
      const isOn = each.accepting || each.ride_id !== null;
      put((isOn && this.#sprites[each.state]) || this.#sprites.non_operational, placed(each, now));
    }
    for (const each of this.#rides.values()) put(this.#sprites.waits, each.at);
  }

  // Draws each kind of unicorn once; later drawings copy that picture.
  #dress() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    this.#arrow = colour("goal");
    for (const [state, name] of Object.entries({ ...COLOURS, waits: "waits" })) {
      this.#sprites[state] = sprite(colour(name), colour("surface"), state === "waits");
    }
  }
}

// The place of a gliding unicorn at this moment.
function placed({ from, to, since }, now) {
  const share = Math.max(0, Math.min((now - since) / GLIDE_MILLISECONDS, 1));
  return share === 1 ? to : [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share];
}

const isIdle = (unicorn) => unicorn?.state === "available" && unicorn.accepting;

function drawArrow(pen, [x, y], [toX, toY], ratio) {
  const length = Math.hypot(toX - x, toY - y);
  if (length < ARROW.nearest * ratio) return;
  const [u, v] = [(toX - x) / length, (toY - y) / length];
  const head = ARROW.head * ratio;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(toX, toY);
  for (const side of [-0.5, 0.5]) pen.lineTo(toX - u * head - v * head * side, toY - v * head + u * head * side);
  pen.fill();
}

function sprite(colour, rim, isRing) {
  const ratio = devicePixelRatio;
  const size = (isRing ? SIZES.ring : SIZES.dot) * ratio;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * 2;
  const pen = canvas.getContext("2d");
  pen.beginPath();
  pen.arc(size, size, size * 0.66, 0, 7);
  pen.lineWidth = (isRing ? 4 : 2) * ratio;
  pen.fillStyle = isRing ? rim : colour;
  pen.strokeStyle = isRing ? colour : rim;
  pen.fill();
  pen.stroke();
  return canvas;
}
