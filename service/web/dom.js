// Small helpers: find an element, make one, and write values as people read them.
export const settings = document.documentElement.dataset;
export const asset = (name) => `${settings.assets}/${name}`;
export const byId = (id) => document.getElementById(id);

// Makes an element with attributes and children. Attributes whose names begin with "on" are listeners.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function show(element, visible) {
  element.hidden = !visible;
}

// Writes a text into an element, if it differs from the present text: a screen reader speaks each change.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return "under a minute";
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const distance = (metres) =>
  metres === null || metres === undefined ? "–" : metres < 1000 ? `${metres} m` : `${(metres / 1000).toFixed(1)} km`;

const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
export const moment = (instant) => (instant ? day.format(new Date(instant)) : "–");
export const time = (instant) => (instant ? clock.format(new Date(instant)) : "–");

export const degrees = ({ latitude, longitude }) => `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;

// The place of a text such as "40.715, -74.0"; null if it names no place. The API refuses what is out of range.
export function placeOf(text) {
  const found = /^\s*([+-]?\d{1,3}(?:\.\d+)?)\s*[,; ]\s*([+-]?\d{1,3}(?:\.\d+)?)\s*$/.exec(text);
  return found && { latitude: Number(found[1]), longitude: Number(found[2]) };
}

// Shows a message beside a field, which says what is wrong with it. An empty text removes the message.
export function fault(name, text) {
  write(byId(`${name}-fault`), text);
  byId(name).setAttribute("aria-invalid", String(Boolean(text)));
}

let hiding;
// Shows a line at the top of the page for `seconds`; without them, until the next line.
export function notice(text, seconds = 0) {
  clearTimeout(hiding);
  const line = byId("notice");
  show(line, Boolean(text));
  write(line, text);
  if (seconds) hiding = setTimeout(() => show(line, false), seconds * 1000);
}

// Runs `work` when the button is pressed, and shows that it runs. Ignores further presses until it is done.
export function acts(button, work) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}
