// The two places of an order. A person types them, taps them on the map, or moves the map's middle there by keyboard.
import { byId, degrees, fault, placeOf } from "./dom.js";
import { pin, placeAt } from "./map.js";

const NAMES = ["pickup", "dropoff"];
const TITLES = { pickup: "Pickup", dropoff: "Drop-off" };

export class Places {
  #map;
  #pins = {};
  #picking = "pickup";
  #changed;
  #values = { pickup: null, dropoff: null };
  enabled = true;

  constructor(map, changed) {
    this.#map = map;
    this.#changed = changed;
    for (const name of NAMES) {
      byId(name).addEventListener("focus", () => this.#pick(name));
      byId(name).addEventListener("change", () => this.#typed(name));
    }
    map.on("click", (event) => this.enabled && this.#tapped(placeAt(event.latlng)));
    map.getContainer().addEventListener("keydown", (event) => {
      if (this.enabled && event.key === "Enter" && event.target === map.getContainer()) this.#tapped(placeAt(map.getCenter()));
    });
    this.#pick("pickup");
  }

  get pickup() {
    return this.#values.pickup;
  }

  get dropoff() {
    return this.#values.dropoff;
  }

  set(name, place) {
    this.#values[name] = place;
    byId(name).value = place ? degrees(place) : "";
    fault(name, "");
    this.#pins[name]?.remove();
    this.#pins[name] = place && this.enabled ? pin(this.#map, place, TITLES[name], name === "dropoff" ? "to" : "") : null;
    this.#pick(this.pickup && !this.dropoff ? "dropoff" : "pickup");
    this.#changed();
  }

  // Shows or hides the pins of the order. A ride has pins of its own.
  enable(enabled) {
    this.enabled = enabled;
    for (const name of NAMES) this.set(name, enabled ? this.#values[name] : null);
  }

  #tapped(place) {
    this.set(this.#picking, place);
  }

  #typed(name) {
    const text = byId(name).value.trim();
    const place = placeOf(text);
    if (text && !place) {
      this.#values[name] = null;
      this.#pins[name]?.remove();
      this.#changed();
      return fault(name, "Write latitude and longitude, such as 40.715, -74.0, or tap the map.");
    }
    this.set(name, place);
  }

  #pick(name) {
    this.#picking = name;
    for (const each of NAMES) byId(`${each}-row`).classList.toggle("picking", each === name);
  }
}

// Shows each fault that the API names beside its field. Returns false if a fault belongs to no field of the page.
export function faults(refused, names) {
  const own = refused.faults.map(({ field, message }) => [names.find((name) => field.split(".")[0] === name), field, message]);
  for (const [name, field, message] of own) {
    if (name) fault(name, `${field.split(".").slice(1).join(" ")} ${message}`.trim());
  }
  return own.length > 0 && own.every(([name]) => name);
}
