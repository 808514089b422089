// The tab of the fleet: find a unicorn. Admins also enroll, import, change and remove unicorns.
import { refusedIn } from "./api.js";
import { ask } from "./ask.js";
import { rowsOf, unicornOf } from "./csv.js";
import { acts, byId, make, moment, show, write } from "./dom.js";

const STATES = { available: ["free", "good"], reserved: ["to a pickup", ""], on_trip: ["driving", ""], non_operational: ["off duty", "dull"], non_contactable: ["out of sight", "warn"], removed: ["removed", "bad"] };
const SHOWN = 100;
const FIELDS = [["name", "Name"], ["color", "Color"], ["gender", "Gender"], ["account_sub", "Account (sub)"]];

export class FleetTab {
  #api;
  #isAdmin;
  #links;
  #unicorns = new Map();
  #opened = 0;

  constructor(api, isAdmin, links) {
    this.#api = api;
    this.#isAdmin = isAdmin;
    this.#links = links;
    byId("find").addEventListener("input", () => this.#list());
    if (!isAdmin) return;
    acts(byId("enroll"), async () => this.#form(null));
    byId("csv").addEventListener("change", () => this.#import());
  }

  // Reads the whole fleet page by page, and shows each page at once.
  async open() {
    const opened = ++this.#opened;
    try {
      let cursor = "";
      do {
        const page = await this.#api.get(`/v1/admin/unicorns?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
        page.unicorns.forEach((each) => this.#unicorns.set(each.unicorn_id, each));
        cursor = page.next_cursor;
        this.#list();
      } while (cursor && opened === this.#opened && !byId("fleet").hidden);
      write(byId("fleet-problem"), "");
    } catch (error) {
      write(byId("fleet-problem"), refusedIn(error).text);
    }
  }

  #list() {
    const wanted = byId("find").value.trim().toLowerCase();
    const fits = ({ unicorn_id: id, name, state }) => `${id} ${name} ${STATES[state][0]}`.toLowerCase().includes(wanted);
    const found = [...this.#unicorns.values()].filter(fits).sort((a, b) => a.name.localeCompare(b.name));
    byId("unicorns").replaceChildren(...found.slice(0, SHOWN).map((each) => this.#entry(each)));
    if (found.length > SHOWN) byId("unicorns").append(make("li", { class: "quiet" }, `and ${found.length - SHOWN} more: find them by name`));
  }

  #entry(unicorn) {
    const [state, kind] = STATES[unicorn.state];
    return make("li", {}, make("button", { class: "pick", onclick: () => this.choose(unicorn.unicorn_id) }, make("span", { class: "grow" }, unicorn.name, make("span", { class: "quiet small" }, ` ${unicorn.unicorn_id}`)), make("span", { class: `badge ${kind}` }, state)));
  }

  async choose(id) {
    try {
      const { data, tag } = await this.#api.call("GET", `/v1/admin/unicorns/${id}`);
      this.#unicorns.set(id, data);
      this.#show(data, tag);
      write(byId("fleet-problem"), "");
    } catch (error) {
      write(byId("fleet-problem"), refusedIn(error).text);
    }
  }

  #show(unicorn, tag) {
    const [state, kind] = STATES[unicorn.state];
    const facts = { Id: unicorn.unicorn_id, Account: unicorn.account_sub, Looks: `${unicorn.color}, ${unicorn.gender}`, Offers: unicorn.auto_accept ? "takes rides by itself" : "is asked first", "Last seen": unicorn.position_at && moment(unicorn.position_at), Position: unicorn.position_problem?.replaceAll("_", " ") };
    byId("unicorn").replaceChildren(
      make("div", { class: "row" }, make("h3", { class: "grow", tabindex: -1 }, unicorn.name), make("span", { class: `badge ${kind}` }, state)),
      make("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
      make("div", { class: "buttons" }, this.#buttons(unicorn, tag)),
    );
    show(byId("unicorn"), true);
    byId("unicorn").querySelector("h3").focus();
  }

  #buttons(unicorn, tag) {
    const button = (text, work, kind = "") => acts(make("button", { type: "button", class: `slim ${kind}` }, text), work);
    const buttons = [];
    if (unicorn.location) buttons.push(button("Show on map", async () => this.#links.show(unicorn.location)));
    buttons.push(button("Its rides", async () => this.#links.rides(unicorn.unicorn_id)));
    if (this.#isAdmin && unicorn.state !== "removed") {
      buttons.push(button("Edit", async () => this.#form(unicorn, tag)), button(unicorn.accepting ? "Take off duty" : "Put on duty", () => this.#change(unicorn, tag, { accepting: !unicorn.accepting })));
      if (!unicorn.ride_id) buttons.push(button("Remove", () => this.#remove(unicorn, tag), "danger"));
    }
    return [...buttons, button("Close", async () => show(byId("unicorn"), false))];
  }

  // Shows the form that changes this unicorn; without a unicorn, the form that enrolls one.
  #form(unicorn, tag) {
    const field = ([name, text]) => make("label", { for: `f-${name}` }, text, make("input", { id: `f-${name}`, value: unicorn?.[name] ?? "", autocomplete: "off", "aria-describedby": `f-${name}-fault` }), make("span", { class: "fault", id: `f-${name}-fault`, role: "alert" }));
    const fields = unicorn ? FIELDS : [...FIELDS, ["unicorn_id", "Id (made up if empty)"]];
    const auto = make("input", { type: "checkbox", id: "f-auto", checked: unicorn?.auto_accept ?? true });
    const save = acts(make("button", { type: "button", class: "primary slim" }, unicorn ? "Save" : "Enroll"), () => this.#save(unicorn, tag, fields, auto.checked));
    const close = acts(make("button", { type: "button", class: "slim" }, "Leave it"), async () => show(byId("unicorn"), false));
    byId("unicorn").replaceChildren(
      make("h3", { tabindex: -1 }, unicorn ? `Change ${unicorn.name}` : "Enroll a unicorn"),
      make("div", { class: "form" }, fields.map(field), make("label", { class: "check", for: "f-auto" }, auto, "Takes rides by itself")),
      make("div", { class: "buttons" }, save, close),
    );
    show(byId("unicorn"), true);
    byId("f-name").focus();
  }

  async #save(unicorn, tag, fields, autoAccept) {
    const values = Object.fromEntries(fields.map(([name]) => [name, byId(`f-${name}`).value.trim()]).filter(([name, value]) => value || !["unicorn_id", "account_sub"].includes(name)));
    if (unicorn && !values.account_sub) values.account_sub = null;
    for (const [name] of fields) write(byId(`f-${name}-fault`), "");
    if (unicorn) return this.#change(unicorn, tag, { ...values, auto_accept: autoAccept });
    await this.#sent(async () => (await this.#api.post("/v1/admin/unicorns", { ...values, auto_accept: autoAccept })).unicorn_id);
  }

  #change(unicorn, tag, changes) {
    return this.#sent(async () => {
      await this.#api.call("PATCH", `/v1/admin/unicorns/${unicorn.unicorn_id}`, { body: changes, headers: { "If-Match": tag } });
      return unicorn.unicorn_id;
    });
  }

  async #remove(unicorn, tag) {
    if (!(await ask(`Remove ${unicorn.name} for good?`, "Its id is never used again.", "Remove"))) return;
    await this.#sent(async () => {
      await this.#api.call("DELETE", `/v1/admin/unicorns/${unicorn.unicorn_id}`, { headers: { "If-Match": tag } });
      return unicorn.unicorn_id;
    });
  }

  // Sends the form and shows the changed unicorn. A fault is shown beside its field.
  async #sent(work) {
    try {
      await this.choose(await work());
      this.#list();
    } catch (error) {
      const refused = refusedIn(error);
      const places = { account_taken: "account_sub", unicorn_exists: "unicorn_id" };
      const faults = places[refused.reason] ? [{ field: places[refused.reason], message: refused.text }] : refused.faults;
      const unplaced = faults.filter(({ field, message }) => {
        const place = byId(`f-${field}-fault`);
        if (place) write(place, message);
        return !place;
      });
      write(byId("fleet-problem"), faults.length && !unplaced.length ? "" : refused.text);
    }
  }

  // Enrolls the unicorns of the file, and lists the lines that were refused.
  async #import() {
    const [file] = byId("csv").files;
    const rows = rowsOf(await file.text());
    byId("csv").value = "";
    const refusals = [];
    for (const [index, row] of rows.entries()) {
      write(byId("import"), `Enrolling ${index + 1} of ${rows.length}…`);
      try {
        await this.#api.post("/v1/admin/unicorns", unicornOf(row));
      } catch (error) {
        const refused = refusedIn(error);
        refusals.push(`Line ${index + 2}: ${refused.faults.map(({ field, message }) => `${field} ${message}`).join("; ") || refused.text}`);
      }
    }
    const sum = `${rows.length - refusals.length} of ${rows.length} unicorns enrolled.`;
    byId("import").replaceChildren(make("p", {}, sum), make("ul", { class: "fault" }, refusals.map((text) => make("li", {}, text))));
    await this.open();
  }
}
