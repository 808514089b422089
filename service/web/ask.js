// Asks the person before an action that cannot be undone.
import { byId, write } from "./dom.js";

export function ask(question, more, yes) {
  const dialog = byId("sure");
  write(byId("sure-text"), question);
  write(byId("sure-more"), more);
  write(byId("sure-yes"), yes);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
