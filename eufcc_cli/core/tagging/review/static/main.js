// The review page: its two views, the filter, undo, progress, and what other pages decide meanwhile.

import { allIsWell, byId, element, get, inTurn, number, post, report } from "./api.js";
import { ImageView } from "./image_view.js";
import { TermView } from "./term_view.js";

const EVERY = 1000; // milliseconds between questions for what others decided

class App {
  async start() {
    const about = await get("start");
    this.version = about.version;
    this.suspects = about.suspects;
    this.form = byId("filters");
    this.places = [];
    this.terms = new TermView(this);
    this.images = new ImageView(this);
    this.terms.threshold = about.threshold;
    this.fill(about);
    this.connect();
    this.progress(about);
    const before = JSON.parse(sessionStorage.getItem("place") ?? "{}");
    this.restoreFilters(before.filters ?? {});
    await this.change(before.view ?? "terms", before);
    setTimeout(() => this.watch(), EVERY);
  }

  fill(about) {
    byId("file").textContent = about.file;
    byId("decisions-file").textContent = about.decisions;
    document.title = `${about.file} – review`;
    for (const name of ["facet", "provider"]) {
      const options = about[`${name}s`].map((text) => element("option", { value: text }, text));
      this.form.elements[name].append(...options);
      this.form.elements[name].closest("label").hidden = options.length < 2;
    }
    byId("contradictions").hidden = !about.records;
    if (about.suspects) this.form.elements.sort.value = "uncertainty";
    if (about.orphans.length) {
      const box = byId("orphans");
      box.hidden = false;
      const one = about.orphans.length === 1;
      box.querySelector("summary").textContent = `${number(about.orphans.length)} earlier decision${one ? " is" : "s are"} about suggestions that this file no longer has; ${one ? "it stays" : "they stay"} in the decisions file`;
      box.querySelector("ul").append(...about.orphans.slice(0, 500).map(([image, facet, tag, verdict]) => element("li", {}, `${image}: ${facet}: ${tag} (${verdict})`)));
    }
  }

  connect() {
    byId("by-term").addEventListener("click", () => inTurn(() => this.change("terms")));
    byId("by-image").addEventListener("click", () => inTurn(() => this.change("images")));
    byId("undo").addEventListener("click", () => {
      byId("undo").blur();
      inTurn(() => this.undo());
    });
    byId("filter-button").addEventListener("click", () => this.toggleFilters());
    this.form.addEventListener("change", () => inTurn(() => this.refilter()));
    this.form.querySelector("[type=reset]").addEventListener("click", (event) => {
      event.preventDefault(); // a "reset" event comes before the fields are as they were
      this.form.reset();
      inTurn(() => this.refilter());
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    byId("close-help").addEventListener("click", () => byId("help").close());
    for (const id of ["close-zoom", "zoom-picture"]) byId(id).addEventListener("click", () => byId("zoom").close());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  get current() {
    return this.view === "terms" ? this.terms : this.images;
  }

  filters() {
    const of = this.form.elements;
    const share = (value, otherwise) => (value === "" ? otherwise : Math.max(0, Math.min(100, Number(value))) / 100);
    return {
      facet: of.facet.value,
      provider: of.provider.value,
      sort: of.sort.value,
      low: share(of.low.value, 0),
      high: share(of.high.value, 1),
      undecided: of.undecided.checked ? 1 : undefined,
      contradictions: of.contradictions.checked ? 1 : undefined,
    };
  }

  restoreFilters(saved) {
    for (const [name, value] of Object.entries(saved)) {
      const field = this.form.elements[name];
      if (!field) continue;
      if (field.type === "checkbox") field.checked = value;
      else field.value = value;
    }
    this.markFilters();
  }

  markFilters() {
    const { facet, provider, low, high, undecided, contradictions } = this.filters();
    const active = [facet, provider, low > 0, high < 1, undecided, contradictions].filter(Boolean).length;
    byId("filter-button").replaceChildren(active ? `Filter (${active}) ` : "Filter ", element("kbd", {}, "F"));
    byId("filter-button").classList.toggle("active", active > 0);
  }

  async refilter() {
    this.markFilters();
    await this.current.load(this.view === "terms" ? this.terms.opened : this.images.image);
    this.remember();
  }

  toggleFilters() {
    this.form.hidden = !this.form.hidden;
    byId("filter-button").setAttribute("aria-expanded", !this.form.hidden);
    if (!this.form.hidden) [...this.form.elements].find((field) => field.offsetParent)?.focus();
  }

  /** Shows a view, at a place that was left there. */
  async change(view, place = {}) {
    this.view = view;
    for (const [name, button] of [["terms", "by-term"], ["images", "by-image"]]) {
      byId(name).hidden = name !== view;
      byId(button).setAttribute("aria-pressed", name === view);
    }
    byId("finished").hidden = true;
    await (view === "terms" ? this.terms.load(place.terms ?? this.terms.opened) : this.images.load(place.image ?? this.images.image));
    if (view === "terms") byId("sheet").focus();
    else document.activeElement?.blur();
  }

  /** Keeps the place for a reload of the page. */
  remember() {
    const filters = {};
    for (const field of this.form.elements) {
      if (field.name) filters[field.name] = field.type === "checkbox" ? field.checked : field.value;
    }
    sessionStorage.setItem("place", JSON.stringify({ view: this.view, terms: this.terms.opened, image: this.images.image, filters }));
  }

  /** Takes in the server's answer to what was done at a place. */
  async took(answer, place) {
    this.places.push(place);
    await this.apply(answer);
    const count = answer.changed.length;
    byId("saved").textContent = `${count === 1 ? "1 decision" : `${number(count || place.rows)} decisions`} saved`;
  }

  async apply(answer) {
    // Else others decided in between, and `watch` asks for that.
    if (answer.since <= this.version) this.version = answer.version;
    this.progress(answer);
    if (answer.reload) {
      await this.current.load(this.view === "terms" ? this.terms.opened : this.images.image);
    } else {
      this.terms.changed(new Map(answer.changed.map(([row, , , verdict]) => [row, verdict])));
      if (this.view === "images") await this.images.changed(answer.changed);
      else if (answer.changed.length) this.terms.countSoon();
    }
  }

  progress({ decided, total, undo }) {
    byId("progress").max = total;
    byId("progress").value = decided;
    byId("left").textContent = decided === total ? `all ${number(total)} decided` : `${number(total - decided)} left of ${number(total)}`;
    byId("left").dataset.left = total - decided;
    byId("undo").disabled = !undo;
    if (decided < total) byId("finished").hidden = true;
  }

  /** Called where nothing undecided is left to go to. */
  finished() {
    byId("finished").hidden = byId("left").dataset.left !== "0";
  }

  async undo() {
    const answer = await post("undo");
    allIsWell();
    const place = this.places.pop();
    await this.apply(answer);
    byId("saved").textContent = answer.undone.length ? `${number(answer.undone.length)} taken back` : "nothing to undo";
    byId("finished").hidden = true;
    if (!answer.undone.length) return;
    const [, image, term] = answer.changed.find(([row]) => row === answer.undone.at(-1)) ?? [];
    const at = place ?? { view: this.view, image, terms: [term] };
    if (at.view !== this.view) await this.change(at.view, at);
    else if (at.view === "terms") {
      await this.terms.undone(at.terms, answer.undone);
    } else {
      const index = this.images.images.findIndex((one) => one.image === at.image);
      if (index >= 0 && index !== this.images.index) await this.images.open(index);
    }
  }

  /** Asks again and again for what other pages and programs decided. */
  async watch() {
    try {
      if (!document.hidden) {
        const answer = await get("changes", { since: this.version });
        allIsWell();
        if (answer.version !== this.version) {
          await inTurn(async () => {
            if (answer.version <= this.version) return;
            await this.apply(answer);
          });
        }
      }
    } catch (error) {
      report(error);
    }
    setTimeout(() => this.watch(), EVERY);
  }

  openLarge(image, name) {
    byId("zoom-picture").src = `picture/${image}`;
    byId("zoom-picture").alt = name;
    byId("zoom").showModal();
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const open = document.querySelector("dialog[open]");
    if (open) {
      if (["?", "z", "Z"].includes(event.key)) open.close();
      return;
    }
    const target = event.target;
    const typing = target.matches("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (event.key === "Escape") {
      if (!this.form.hidden) this.toggleFilters();
      target.blur?.();
      return;
    }
    if (typing) return;
    // A focused button or slider keeps the keys that work it.
    if (target.matches("button, summary, input") && ["Enter", " "].includes(event.key)) return;
    if (target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = {
      u: () => this.undo(),
      v: () => this.change(this.view === "terms" ? "images" : "terms"),
      f: () => this.toggleFilters(),
      "?": () => byId("help").showModal(),
    }[name] ?? this.current.key(name);
    if (!action) return;
    event.preventDefault();
    inTurn(action);
  }
}

const app = new App();
app.start().catch(report);
