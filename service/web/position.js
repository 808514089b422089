// The driver's place: the middle of the map, or where the device says it is. It is reported while the unicorn is on duty
// or has a ride (service/api/POSITIONS.md).
import { refusedIn } from "./api.js";
import { byId, settings, write } from "./dom.js";
import { placeAt, point, Steed } from "./map.js";

const REPORT_MILLISECONDS = 4000;
const IGNORED = {
  recorded_too_long_ago: "Your position was ignored: it is too old. Is this device's clock right?",
  recorded_in_the_future: "Your position was ignored: it lies in the future. Is this device's clock right?",
  implausible_jump: "Your position jumped farther than a unicorn can gallop; the next report settles it.",
};

export class Whereabouts {
  #map;
  #api;
  #place = null;
  #steed = null;
  #watch = null;
  #timer;
  reporting = false;

  constructor(map, api) {
    this.#map = map;
    this.#api = api;
    for (const input of document.getElementsByName("source")) input.addEventListener("change", () => this.#choose(input.value));
    map.on("move", () => this.#watch === null && this.#stand(placeAt(map.getCenter()), 0));
    this.#timer = setInterval(() => this.report(), REPORT_MILLISECONDS);
  }

  get place() {
    return this.#place;
  }

  // Shows the map at this place; without one, at the place of the setting MAP_CENTER.
  begin(place) {
    const [latitude, longitude] = settings.center.split(",").map(Number);
    this.#map.setView(point(place ?? { latitude, longitude }), 15, { animate: false });
    this.#stand(place ?? { latitude, longitude }, 0);
  }

  stop() {
    clearInterval(this.#timer);
    this.#unwatch();
  }

  #stand(place, milliseconds) {
    this.#place = place;
    this.#steed ??= new Steed(this.#map, place, "You");
    this.#steed.moveTo(place, milliseconds);
  }

  #choose(source) {
    this.#unwatch();
    write(byId("position-fault"), "");
    if (source !== "device") return this.#stand(placeAt(this.#map.getCenter()), 0);
    const found = ({ coords }) => {
      this.#stand({ latitude: coords.latitude, longitude: coords.longitude }, 1000);
      this.#map.panTo(point(this.#place));
    };
    const lost = () => write(byId("position-fault"), "This device does not say where it is. Allow it, or drag the map.");
    this.#watch = navigator.geolocation.watchPosition(found, lost, { enableHighAccuracy: true });
  }

  #unwatch() {
    if (this.#watch !== null) navigator.geolocation.clearWatch(this.#watch);
    this.#watch = null;
  }

  // Reports the unicorn's position to the service.
  async report() {
    if (!this.reporting || !this.#place) return;
    try {
      const { data } = await this.#api.call("PUT", "/v1/fleet/me/position", { body: this.#place });
      write(byId("position-fault"), data ? (IGNORED[data.ignored] ?? data.ignored) : "");
    } catch (error) {
      const refused = refusedIn(error);
      if (refused.reason !== "offline") write(byId("position-fault"), refused.text);
    }
  }
}
