// The map: Leaflet, with the tiles that a setting names, or else with a drawn pattern of streets.
import { asset, settings } from "./dom.js";

const { L } = globalThis;
const GLIDE_MILLISECONDS = 2000;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

// Streets are at an angle, as in Manhattan: lines on which 2x + y or x - 2y (in pixels) is a multiple of these numbers.
// Both repeat within a tile of 256 pixels, so that tiles fit together. No street is real; the map's corner says so.
const ALONG = 128;
const ACROSS = 64;
const TILE = 256;

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--map-${name}`).trim();
}

// A number from 0 to 99 that looks random but is always the same for a block.
function chance(a, b) {
  const mixed = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  return ((mixed ^ (mixed >>> 13)) >>> 0) % 100;
}

// The corner at which two streets meet: 2x + y = a and x - 2y = b.
const corner = (a, b) => [(2 * a + b) / 5, (a - 2 * b) / 5];

function drawBlocks(pen, left, top, colour) {
  const reach = (line, size) => [Math.floor(line[0] / size) - 1, Math.ceil(line[1] / size) + 1];
  const [firstA, lastA] = reach([2 * left + top, 2 * (left + TILE) + top + TILE], ALONG);
  const [firstB, lastB] = reach([left - 2 * (top + TILE), left + TILE - 2 * top], ACROSS);
  for (let a = firstA; a < lastA; a++) {
    for (let b = firstB; b < lastB; b++) {
      const lot = chance(a, b);
      pen.fillStyle = colour(lot < 6 ? "park" : lot < 10 ? "plaza" : "block");
      pen.beginPath();
      for (const [i, j] of [[0, 0], [1, 0], [1, 1], [0, 1]]) {
        const [x, y] = corner((a + i) * ALONG, (b + j) * ACROSS);
        pen.lineTo(x - left, y - top);
      }
      pen.fill();
    }
  }
}

function drawLines(pen, left, top, size, direction, width, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  const [dx, dy] = direction;
  const values = [0, TILE].flatMap((x) => [0, TILE].map((y) => dx * (left + x) + dy * (top + y)));
  for (let line = Math.floor(Math.min(...values) / size) * size; line <= Math.max(...values); line += size) {
    for (const along of [-2 * TILE, 2 * TILE]) {
      const middle = [left + TILE / 2, top + TILE / 2];
      const off = (line - dx * middle[0] - dy * middle[1]) / 5;
      const point = [middle[0] + dx * off - dy * along, middle[1] + dy * off + dx * along];
      along < 0 ? pen.moveTo(point[0] - left, point[1] - top) : pen.lineTo(point[0] - left, point[1] - top);
    }
  }
  pen.stroke();
}

const Pattern = L.GridLayer.extend({
  createTile({ x, y }) {
    const tile = L.DomUtil.create("canvas");
    const scale = Math.min(devicePixelRatio, 2);
    tile.width = tile.height = TILE * scale;
    const pen = tile.getContext("2d");
    pen.scale(scale, scale);
    const colour = colours();
    const [left, top] = [x * TILE, y * TILE];
    drawBlocks(pen, left, top, colour);
    for (const [size, direction, street, avenue] of [[ACROSS, [1, -2], 4, 8], [ALONG, [2, 1], 5, 11]]) {
      drawLines(pen, left, top, size, direction, street + 2, colour("edge"));
      drawLines(pen, left, top, size, direction, street, colour("street"));
      drawLines(pen, left, top, TILE * 2, direction, avenue, colour("avenue"));
    }
    return tile;
  },
});

export function createMap(element, options = {}) {
  const map = L.map(element, { ...options, zoomControl: false, minZoom: 3, maxZoom: 18, worldCopyJump: true });
  map.setView(settings.center.split(",").map(Number), 15);
  map.attributionControl.setPrefix(false);
  L.control.scale({ position: "bottomright", maxWidth: 90 }).addTo(map);
  L.control.zoom({ position: "topright" }).addTo(map);
  new ResizeObserver(() => map.invalidateSize({ animate: false })).observe(element);
  // The pattern lies under the tiles too, and shows where one is missing.
  const pattern = new Pattern({ zIndex: 0 }).addTo(map);
  dark.addEventListener("change", () => pattern.redraw());
  // The crosshair is for the keyboard only. Leaflet focuses the map after a tap too, so focus alone does not tell.
  element.addEventListener("pointerdown", () => element.classList.remove("by-key"));
  for (const type of ["keydown", "keyup"]) element.addEventListener(type, () => element.classList.add("by-key"));
  const tell = () => map.attributionControl.addAttribution("A drawn pattern, no street map");
  if (settings.tiles) L.tileLayer(settings.tiles, { attribution: escaped(settings.attribution) }).once("tileerror", tell).addTo(map);
  else tell();
  return map;
}

const escaped = (text) => text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
export const point = ({ latitude, longitude }) => [latitude, longitude];
export const placeAt = ({ lat, lng }) => ({ latitude: round(lat), longitude: round(((lng + 540) % 360) - 180) });
const round = (value) => Number(value.toFixed(6));

export function pin(map, place, title, kind = "") {
  const icon = L.divIcon({ className: `pin ${kind}`, iconSize: [22, 22] });
  return L.marker(point(place), { icon, title, alt: title, keyboard: false, interactive: false }).addTo(map);
}

// A unicorn on the map, which glides to each new place.
export class Steed {
  #marker;
  #frame = 0;

  constructor(map, place, title, size = 44, kind = "") {
    const image = document.createElement("img");
    image.src = asset("unicorn.svg");
    image.alt = "";
    const icon = L.divIcon({ className: `unicorn ${kind}`, html: image, iconSize: [size, size] });
    this.#marker = L.marker(point(place), { icon, title, alt: title, keyboard: false, interactive: false, zIndexOffset: 500 });
    this.#marker.addTo(map);
  }

  get place() {
    return this.#marker.getLatLng();
  }

  moveTo(place, milliseconds = GLIDE_MILLISECONDS) {
    cancelAnimationFrame(this.#frame);
    const from = this.place;
    const to = L.latLng(point(place));
    if (still.matches || milliseconds === 0 || from.distanceTo(to) > 3000) return void this.#marker.setLatLng(to);
    const began = performance.now();
    const step = (now) => {
      const share = Math.max(0, Math.min((now - began) / milliseconds, 1));
      this.#marker.setLatLng([from.lat + (to.lat - from.lat) * share, from.lng + (to.lng - from.lng) * share]);
      if (share < 1) this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  remove() {
    cancelAnimationFrame(this.#frame);
    this.#marker.remove();
  }
}

// Moves the map so that these places are visible beside the panel, which covers a part of it on a wide screen.
export function frame(map, places) {
  if (!places.length) return;
  const wide = innerWidth >= 760;
  const covered = wide ? document.querySelector(".panel").getBoundingClientRect().right : 0;
  const rim = wide ? 60 : 34;
  map.fitBounds(L.latLngBounds(places.map(point)), { paddingTopLeft: [covered + rim, rim], paddingBottomRight: [rim, rim], maxZoom: 16 });
}
