// The tab that lists what staff changed, and who did it.
import { refusedIn } from "./api.js";
import { acts, byId, make, moment, show, write } from "./dom.js";

export class AuditTab {
  #api;
  #cursor = null;

  constructor(api) {
    this.#api = api;
    acts(byId("audit-more"), () => this.#list(this.#cursor));
  }

  open() {
    return this.#list(null);
  }

  async #list(cursor) {
    try {
      const page = await this.#api.get(`/v1/admin/audit?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      this.#cursor = page.next_cursor;
      show(byId("audit-more"), Boolean(page.next_cursor));
      if (!cursor) byId("entries").replaceChildren();
      byId("entries").append(...page.entries.map(entryOf));
      if (!cursor && !page.entries.length) byId("entries").append(make("li", { class: "quiet" }, "Nothing yet."));
      write(byId("audit-problem"), "");
    } catch (error) {
      write(byId("audit-problem"), refusedIn(error).text);
    }
  }
}

function entryOf(entry) {
  const of = Object.entries(entry.subjects).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ");
  return make("li", {}, make("div", { class: "row" }, make("strong", { class: "grow" }, entry.action), make("span", { class: "quiet small" }, moment(entry.at))), make("div", { class: "quiet small" }, of), make("div", { class: "quiet small" }, `by ${entry.sub}`));
}
