// By term: a contact sheet of the images that one term is suggested for.

import { allIsWell, byId, element, get, inTurn, number, percent, post } from "./api.js";
import { WindowedGrid } from "./grid.js";

const ACCEPTED = 1, REJECTED = 2;
const WAIT = 700; // milliseconds for the next digit of a number
const SIZES = [112, 144, 176, 224, 288, 384];

export class TermView {
  /** app: filters(), took(answer, place), openLarge(image, name), finished(). */
  constructor(app) {
    this.app = app;
    this.terms = [];
    this.term = null;
    this.rows = [];
    this.cursor = 0;
    this.threshold = 0.5;
    this.size = Number(localStorage.getItem("size") ?? 2);
    this.confirmed = false;
    this.typed = "";
    this.sheet = new WindowedGrid(byId("sheet"), {
      minWidth: () => Math.min(SIZES[this.size] * this.scale(), byId("sheet").clientWidth / 2 - 16),
      height: (width) => width + 28 * this.scale(),
      draw: (row, index) => this.tile(row, index),
      change: (tile, row, index) => this.paintTile(tile, row, index),
    });
    this.list = new WindowedGrid(byId("term-list"), {
      height: () => 58 * this.scale(),
      gap: 2,
      draw: (term) => this.entry(term),
      change: (made, term) => this.paintEntry(made, term),
    });
    this.connect();
  }

  scale() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  }

  connect() {
    const on = (id, action) => byId(id).addEventListener("click", () => {
      inTurn(action);
      byId("sheet").focus();
    });
    on("accept-marked", () => this.decideSheet("marked"));
    on("accept-all", () => this.decideSheet("accept"));
    on("reject-all", () => this.decideSheet("reject"));
    on("next-term", () => this.step(1));
    on("previous-term", () => this.step(-1));
    on("smaller", () => this.resize(-1));
    on("larger", () => this.resize(1));
    byId("threshold").addEventListener("input", (event) => {
      this.setThreshold(event.target.value / 100);
    });
    byId("sheet").addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile) return;
      this.move(Number(tile.dataset.index));
      if (event.target.closest(".magnify")) this.zoom();
      else inTurn(() => this.toggle());
    });
    byId("term-list").addEventListener("click", (event) => {
      const entry = event.target.closest(".entry");
      if (entry) inTurn(() => this.open(Number(entry.dataset.term))).then(() => byId("sheet").focus());
    });
  }

  /** Loads the list of terms, and opens one: the one wanted if it is there, else the best. */
  async load(wanted = null) {
    await this.loadTerms();
    const there = this.terms.some((entry) => entry.term === wanted);
    await this.open(there ? wanted : (this.terms[0]?.term ?? null));
  }

  async loadTerms() {
    const { terms } = await get("terms", this.app.filters());
    this.terms = terms;
    this.list.show(terms, { keep: false });
  }

  /** Brings the numbers in the list up to date, in the order that it has. */
  async refreshCounts() {
    const { terms } = await get("terms", this.app.filters());
    const fresh = new Map(terms.map((term) => [term.term, term]));
    for (const term of this.terms) term.left = fresh.get(term.term)?.left ?? 0;
    this.list.renewAll();
  }

  countSoon() {
    clearTimeout(this.counting);
    this.counting = setTimeout(() => inTurn(() => this.refreshCounts()), 300);
  }

  async open(term) {
    this.term = term;
    this.confirmed = false;
    this.hideUnseen();
    const entry = this.terms.find((one) => one.term === term);
    byId("sheet").setAttribute("aria-busy", "true");
    this.rows = [];
    if (entry) {
      const { rows } = await get("sheet", { ...this.app.filters(), term });
      this.rows = rows.map(([row, image, score, verdict, contradicts, record, name]) => (
        { row, image, score, verdict, contradicts, record, name }));
    }
    this.line = null;
    this.cursor = 0;
    this.head(entry);
    this.show(false);
    byId("sheet").setAttribute("aria-busy", "false");
    this.list.renewAll();
    const place = this.terms.indexOf(entry);
    byId("term-list").setAttribute("aria-activedescendant", entry ? `term-${term}` : "");
    this.list.reveal(place);
    this.prefetch(place);
    this.app.remember();
  }

  /** Has the browser ask for the first pictures of the sheet after this one. */
  async prefetch(place) {
    const next = this.terms[place + 1];
    if (!next?.left) return;
    const { rows } = await get("sheet", { ...this.app.filters(), term: next.term });
    for (const row of rows.slice(0, 24)) new Image().src = `thumbnail/${row[1]}`;
  }

  head(entry) {
    const path = entry ? [entry.facet, ...entry.path.slice(0, -1)] : [];
    byId("term-path").textContent = path.join(" › ");
    byId("term-name").textContent = entry ? entry.path.at(-1) : "No term to show";
    byId("term-names").textContent = entry ? entry.names.map(([language, name]) => `${name} (${language})`).join(", ") : "";
    byId("term-flags").textContent = (entry?.flags ?? []).map((text) => `⚑ ${text}`).join("\n");
    for (const id of ["accept-marked", "accept-all", "reject-all"]) byId(id).disabled = !entry;
  }

  show(keep) {
    const byProbability = this.app.filters().sort !== "uncertainty" && !this.app.suspects;
    const first = this.rows.findIndex((row, index) => !this.isAbove(row, index));
    const text = this.line === null ? `below ${percent(this.threshold)}` : "not marked from here";
    this.sheet.show(this.rows, { lineAt: byProbability && first >= 0 ? first : null, text, keep });
    this.sheet.renewAll();
    byId("threshold").value = Math.round(this.threshold * 100);
    byId("threshold-value").textContent = percent(this.threshold);
    this.count();
  }

  isAbove(row, index) {
    return this.line === null ? row.score >= this.threshold : index < this.line;
  }

  /** Whether Enter accepts a row: its verdict, or where it has none, on which side of the line it stands. */
  isMarked(row, index) {
    return row.verdict === 0 ? this.isAbove(row, index) : row.verdict !== REJECTED;
  }

  count() {
    const marked = this.rows.filter((row, index) => this.isMarked(row, index)).length;
    const left = this.rows.filter((row) => row.verdict === 0).length;
    byId("counts").textContent = this.rows.length
      ? `${number(marked)} of ${number(this.rows.length)} marked, ${number(left)} to decide` : "";
  }

  tile(row, index) {
    const picture = element("img", { src: `thumbnail/${row.image}`, alt: "", loading: "lazy", decoding: "async", draggable: false });
    return element("div", { className: "tile", id: `tile-${row.row}`, role: "option", "data-index": index },
      picture,
      element("span", { className: "mark", "aria-hidden": "true" }),
      element("button", { className: "magnify", type: "button", tabIndex: -1, title: "Show large (Z)", "aria-hidden": "true" }, "⤢"),
      element("span", { className: "caption" },
        element("span", { className: "score" }, percent(row.score)),
        element("kbd", { "aria-hidden": "true" }, String(index + 1)),
        element("span", { className: "note" }, row.contradicts ? "≠ record" : row.record ? "in record" : "")));
  }

  paintTile(tile, row, index) {
    const marked = this.isMarked(row, index);
    const decided = row.verdict !== 0;
    tile.classList.toggle("marked", marked);
    tile.classList.toggle("decided", decided);
    tile.classList.toggle("cursor", index === this.cursor);
    tile.querySelector(".mark").textContent = marked ? "✓" : "✗";
    const state = decided ? (marked ? "accepted" : "rejected") : marked ? "marked" : "not marked";
    tile.setAttribute("aria-selected", marked);
    tile.setAttribute("aria-setsize", this.rows.length);
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-label", `${row.name}, ${percent(row.score)}, ${state}${row.contradicts ? ", contradicts the record" : ""}`);
    tile.title = `${row.name}: ${state}`;
    if (index === this.cursor) byId("sheet").setAttribute("aria-activedescendant", tile.id);
  }

  entry(term) {
    return element("div", { className: "entry", role: "option", id: `term-${term.term}`, "data-term": term.term },
      element("span", { className: "name" }, term.path.at(-1)),
      element("span", { className: "crumbs" }, [term.facet, ...term.path.slice(0, -1)].join(" › ")),
      element("span", { className: "left" }));
  }

  paintEntry(made, term) {
    const current = term.term === this.term;
    made.classList.toggle("current", current);
    made.setAttribute("aria-selected", current);
    made.querySelector(".left").textContent = term.left ? number(term.left) : "✓";
    made.querySelector(".left").title = term.left ? `${number(term.left)} of ${number(term.total)} to decide` : "all decided";
    made.classList.toggle("done", !term.left);
  }

  move(index) {
    const before = this.cursor;
    this.cursor = Math.max(0, Math.min(this.rows.length - 1, index));
    this.sheet.reveal(this.cursor);
    this.sheet.renew(before);
    this.sheet.renew(this.cursor);
  }

  /** Changes the current image's mark, and saves that as its verdict. */
  async toggle() {
    const row = this.rows[this.cursor];
    if (!row) return;
    const verdict = this.isMarked(row, this.cursor) ? "rejected" : "accepted";
    await this.save([[row.row, verdict]]);
  }

  async save(rows) {
    const place = { view: "terms", term: this.term, rows: rows.length };
    const answer = await post("decide", { rows });
    allIsWell();
    this.app.took(answer, place);
  }

  async decideSheet(how) {
    const open = this.rows.map((row, index) => ({ row, index })).filter(({ row }) => row.verdict === 0);
    const wanted = how === "marked" ? open : this.rows.map((row, index) => ({ row, index }));
    const unseen = open.filter(({ index }) => index > this.sheet.furthest).length;
    if (unseen && !this.confirmed) {
      this.confirmed = true;
      byId("unseen").textContent = `${number(unseen)} images further down have not been on the screen. The same again decides them as well.`;
      byId("unseen").hidden = false;
      return;
    }
    const rows = wanted.map(({ row, index }) => {
      const accept = how === "marked" ? this.isMarked(row, index) : how === "accept";
      return [row.row, accept ? "accepted" : "rejected"];
    });
    if (rows.length) await this.save(rows);
    await this.next();
  }

  hideUnseen() {
    byId("unseen").hidden = true;
  }

  /** Opens the undecided term that saves most clicks now. */
  async next() {
    await this.loadTerms();
    const best = this.terms.find((term) => term.left && term.term !== this.term);
    if (best) await this.open(best.term);
    else {
      await this.open(this.terms.find((term) => term.term === this.term)?.term ?? this.terms[0]?.term ?? null);
      this.app.finished();
    }
  }

  async step(by) {
    const place = this.terms.findIndex((term) => term.term === this.term);
    const to = this.terms[place + by];
    if (to) await this.open(to.term);
  }

  setThreshold(value) {
    this.threshold = value;
    this.line = null;
    this.show(true);
  }

  resize(by) {
    this.size = Math.max(0, Math.min(SIZES.length - 1, this.size + by));
    localStorage.setItem("size", this.size);
    this.sheet.layout();
    this.sheet.reveal(this.cursor);
  }

  zoom() {
    const row = this.rows[this.cursor];
    if (row) this.app.openLarge(row.image, row.name);
  }

  /** Takes in verdicts that changed, here or on another page: {row: verdict}. */
  changed(verdicts) {
    this.rows.forEach((row, index) => {
      if (verdicts.has(row.row) && verdicts.get(row.row) !== row.verdict) {
        row.verdict = verdicts.get(row.row);
        this.sheet.renew(index);
      }
    });
    this.count();
  }

  /** Takes a digit of an image's number; more digits may follow within a moment. */
  digit(name) {
    this.typed += name;
    clearTimeout(this.timer);
    if (Number(this.typed) * 10 > this.rows.length) return this.useTyped();
    this.timer = setTimeout(() => inTurn(() => this.useTyped()), WAIT);
  }

  /** Goes to the image whose number was typed, and changes its mark. */
  async useTyped() {
    clearTimeout(this.timer);
    const index = Number(this.typed) - 1;
    this.typed = "";
    if (index < 0 || index >= this.rows.length) return;
    this.move(index);
    await this.toggle();
  }

  /** What a key does here, or undefined; a number that was typed before it counts first. */
  key(name) {
    if (/^[0-9]$/.test(name)) return () => this.digit(name);
    const action = this.action(name);
    if (!action || !this.typed) return action;
    return async () => {
      await this.useTyped();
      await action();
    };
  }

  action(name) {
    const moves = {
      ArrowRight: () => this.cursor + 1,
      ArrowLeft: () => this.cursor - 1,
      ArrowDown: () => this.sheet.vertical(this.cursor, 1),
      ArrowUp: () => this.sheet.vertical(this.cursor, -1),
      Home: () => 0,
      End: () => this.rows.length - 1,
      PageDown: () => this.sheet.vertical(this.cursor, 3),
      PageUp: () => this.sheet.vertical(this.cursor, -3),
      l: () => Math.max(0, this.rows.findIndex((row, index) => !this.isAbove(row, index)) - 1),
    };
    if (moves[name]) return () => this.move(moves[name]());
    return {
      " ": () => this.toggle(),
      Enter: () => this.decideSheet("marked"),
      a: () => this.decideSheet("accept"),
      r: () => this.decideSheet("reject"),
      j: () => this.step(1),
      k: () => this.step(-1),
      t: () => {
        this.line = this.cursor + 1;
        this.show(true);
      },
      z: () => this.zoom(),
      "+": () => this.resize(1),
      "-": () => this.resize(-1),
    }[name];
  }
}
