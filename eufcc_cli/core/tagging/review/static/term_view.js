// By term: a contact sheet of the images that one term is suggested for.

import { allIsWell, byId, element, get, inTurn, number, percent, post } from "./api.js";
import { loadPicture, RULE, thumbnail, WindowedGrid } from "./grid.js";
import { LABEL_KEYS, labelsFor, sheetsOf } from "./sheets.js";

const REJECTED = 2;
const SIZES = [112, 128, 144, 176, 224, 288, 384]; // pixels
const LARGEST_FITTED = 4;

export class TermView {
  /** app: filters(), took(answer, place), openLarge(image, name), finished(). */
  constructor(app) {
    this.app = app;
    this.sheets = []; // of terms, those that save most clicks first
    this.opened = []; // the terms of the sheet that is open
    this.rows = [];
    this.undecided = 0; // rows, the first ones, that had no verdict when the sheet was opened
    this.lines = new Map(); // {term: the index of its last marked row}, where somebody moved the line
    this.cursor = 0;
    this.threshold = 0.5;
    this.chosen = localStorage.getItem("size"); // null: the pictures of a sheet fit into the view
    this.size = Number(this.chosen ?? 0);
    this.confirmed = false;
    this.typed = "";
    this.sheet = new WindowedGrid(byId("sheet"), {
      minWidth: () => this.widthOf(this.size),
      height: (width) => this.heightOf(width, this.isMixed),
      draw: (row, index) => this.tile(row, index),
      change: (tile, row, index) => this.paintTile(tile, row, index),
      load: (tile, row) => loadPicture(tile, row.image, this.sheet.itemWidth),
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

  /** The least width of a picture of a size, in pixels. */
  widthOf(size) {
    return Math.min(SIZES[size] * this.scale(), byId("sheet").clientWidth / 2 - 16);
  }

  /** How many pictures of a size the view holds. */
  room(size, isMixed) {
    const height = (width) => this.heightOf(width, isMixed);
    return this.sheet.holds(this.widthOf(size), height, isMixed ? 0 : RULE);
  }

  heightOf(width, isMixed) {
    return width + (isMixed ? 50 : 28) * this.scale();
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
    on("fit", () => this.fitAgain());
    byId("threshold").addEventListener("input", (event) => {
      this.setThreshold(event.target.value / 100);
    });
    byId("sheet").addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile) return;
      const row = this.rows[Number(tile.dataset.index)];
      inTurn(() => {
        const index = this.rows.indexOf(row); // it may be on a sheet that what was pressed before has left
        if (index < 0) return;
        this.move(index);
        return event.target.closest(".magnify") ? this.zoom() : this.toggle();
      });
    });
    byId("term-list").addEventListener("click", (event) => {
      const entry = event.target.closest(".entry");
      if (entry) inTurn(() => this.open([Number(entry.dataset.term)])).then(() => byId("sheet").focus());
    });
  }

  get isMixed() {
    return this.opened.length > 1;
  }

  get terms() {
    return this.sheets.flat();
  }

  entryOf(number) {
    return this.terms.find(({ term }) => term === number);
  }

  /** Loads the list of terms, and opens a sheet: of the terms wanted that are there, else the best. */
  async load(wanted = []) {
    await this.loadTerms();
    const there = wanted.filter((number) => this.entryOf(number));
    await this.open(there.length ? there : this.numbers(this.sheets[0]));
  }

  async loadTerms() {
    const { terms } = await get("terms", this.app.filters());
    this.sheets = sheetsOf(terms, this.room(Number(this.chosen ?? 0), true));
    this.list.show(this.terms);
  }

  numbers(sheet = []) {
    return sheet.map(({ term }) => term);
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

  /** Opens a sheet: of one term with all of its images, or of several with what is undecided. */
  async open(numbers) {
    this.opened = numbers;
    this.confirmed = false;
    this.typed = "";
    this.hideUnseen();
    byId("sheet").setAttribute("aria-busy", "true");
    this.rows = numbers.length ? await this.fetchRows(numbers) : [];
    if (this.isMixed) this.rows = this.rows.filter((row) => row.verdict === 0);
    else this.rows.sort((one, other) => (one.verdict !== 0) - (other.verdict !== 0));
    this.undecided = this.rows.filter((row) => row.verdict === 0).length;
    this.fit();
    this.lines.clear();
    this.labelRows();
    this.cursor = 0;
    this.head();
    this.show(false);
    byId("sheet").setAttribute("aria-busy", "false");
    this.list.renewAll();
    byId("term-list").setAttribute("aria-activedescendant", numbers.length ? `term-${numbers[0]}` : "");
    this.list.reveal(this.terms.indexOf(this.entryOf(numbers.at(-1))));
    this.list.reveal(this.terms.indexOf(this.entryOf(numbers[0])));
    this.prefetch().catch(() => {}); // whatever fails is asked for again when it is needed
    this.app.remember();
  }

  async fetchRows(numbers) {
    const { rows } = await get("sheet", { ...this.app.filters(), term: numbers.join(",") });
    return rows.map(([row, image, score, verdict, contradicts, record, term, name]) => (
      { row, image, score, verdict, contradicts, record, term, name }));
  }

  /** Gives a label to each undecided picture, the nearest to the line first. */
  labelRows() {
    const open = this.rows.slice(0, this.undecided);
    open.sort((one, other) => Math.abs(one.score - this.threshold) - Math.abs(other.score - this.threshold));
    labelsFor(open.length).forEach((text, place) => (open[place].label = text));
  }

  /** Has the browser ask for the first pictures of the sheet after this one. */
  async prefetch() {
    const next = this.sheets[this.place() + 1];
    if (!next?.[0].left) return;
    for (const row of (await this.fetchRows(this.numbers(next))).slice(0, 24)) new Image().src = thumbnail(row.image, this.sheet.itemWidth);
  }

  head() {
    const entries = this.opened.map((number) => this.entryOf(number)).filter(Boolean);
    const [entry] = entries;
    const path = entry ? [entry.facet, ...(this.isMixed ? [] : entry.path.slice(0, -1))] : [];
    byId("term-path").textContent = path.join(" › ");
    byId("term-name").textContent = entry ? entries.map((one) => one.path.at(-1)).join(", ") : "No term to show";
    byId("term-names").textContent = this.isMixed
      ? `${entries.length} terms of few images share this sheet: each picture names its term`
      : entry?.names.map(([language, name]) => `${name} (${language})`).join(", ") ?? "";
    byId("term-flags").textContent = entries.flatMap((one) => one.flags ?? []).map((text) => `⚑ ${text}`).join("\n");
    for (const id of ["accept-marked", "accept-all", "reject-all"]) byId(id).disabled = !entry;
  }

  show(keep) {
    const rules = [];
    if (!this.isMixed && this.app.filters().sort !== "uncertainty" && !this.app.suspects) {
      const first = this.rows.findIndex((row, index) => index < this.undecided && !this.isAbove(row, index));
      const text = this.lines.size ? "not marked from here" : `below ${percent(this.threshold)}`;
      if (first >= 0) rules.push({ at: first, text });
    }
    if (this.undecided && this.undecided < this.rows.length) rules.push({ at: this.undecided, text: "already decided" });
    this.sheet.show(this.rows, { rules, keep });
    this.sheet.renewAll();
    byId("threshold").value = Math.round(this.threshold * 100);
    byId("threshold-value").textContent = percent(this.threshold);
    this.count();
  }

  isAbove(row, index) {
    return this.lines.has(row.term) ? index <= this.lines.get(row.term) : row.score >= this.threshold;
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
    const picture = element("img", { alt: "", decoding: "async", draggable: false });
    return element("div", { className: "tile", id: `tile-${row.row}`, role: "option", "data-index": index },
      this.isMixed ? element("span", { className: "of-term" }, this.entryOf(row.term)?.path.at(-1) ?? "") : null,
      picture,
      element("span", { className: "mark", "aria-hidden": "true" }),
      element("button", { className: "magnify", type: "button", tabIndex: -1, title: "Show large (Z)", "aria-hidden": "true" }, "⤢"),
      element("span", { className: "caption" },
        element("span", { className: "score" }, percent(row.score)),
        row.label ? element("kbd", { "aria-hidden": "true" }, row.label.toUpperCase()) : null,
        element("span", { className: "note" }, row.contradicts ? "≠ record" : row.record ? "record" : "")));
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
    tile.classList.toggle("typed", this.typed !== "" && (row.label ?? "").startsWith(this.typed));
    const name = this.isMixed ? `${row.name}, ${this.entryOf(row.term)?.path.at(-1)}` : row.name;
    tile.setAttribute("aria-label", `${name}, ${percent(row.score)}, ${state}${row.contradicts ? ", contradicts the record" : ""}`);
    tile.title = `${name}: ${state}`;
    if (index === this.cursor) byId("sheet").setAttribute("aria-activedescendant", tile.id);
  }

  entry(term) {
    return element("div", { className: "entry", role: "option", id: `term-${term.term}`, "data-term": term.term },
      element("span", { className: "name" }, term.path.at(-1)),
      element("span", { className: "crumbs" }, [term.facet, ...term.path.slice(0, -1)].join(" › ")),
      element("span", { className: "left" }));
  }

  paintEntry(made, term) {
    const current = this.opened.includes(term.term);
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
    const place = { view: "terms", terms: this.opened, rows: rows.length };
    const answer = await post("decide", { rows });
    allIsWell();
    this.app.took(answer, place);
  }

  async decideSheet(how) {
    const rows = this.rows.map((row, index) => ({ row, index }));
    const open = rows.filter(({ row }) => row.verdict === 0);
    // What was decided before the sheet was opened stays as it is, unless there is nothing else.
    const wanted = how === "marked" ? open : rows.slice(0, this.undecided || rows.length);
    const unseen = open.filter(({ index }) => index > this.sheet.furthest).length;
    if (unseen && !this.confirmed) {
      this.confirmed = true;
      byId("unseen").textContent = `${number(unseen)} images further down have not been on the screen. Repeat the key or the click to decide them as well.`;
      byId("unseen").hidden = false;
      return;
    }
    const verdicts = wanted.map(({ row, index }) => {
      const accept = how === "marked" ? this.isMarked(row, index) : how === "accept";
      return [row.row, accept ? "accepted" : "rejected"];
    });
    if (verdicts.length) await this.save(verdicts);
    await this.next();
  }

  hideUnseen() {
    byId("unseen").hidden = true;
  }

  /** Opens the undecided sheet that saves most clicks now. */
  async next() {
    await this.loadTerms();
    const best = this.sheets.find((sheet) => sheet[0].left && !this.opened.includes(sheet[0].term));
    if (best) await this.open(this.numbers(best));
    else {
      await this.load(this.opened);
      this.app.finished();
    }
  }

  /** Shows where rows were undecided again: on the open sheet, or on that of the terms. */
  async undone(terms, rows) {
    const index = this.rows.findIndex((row) => row.row === rows.at(-1));
    if (index < 0 || String(terms) !== String(this.opened)) return this.load(terms);
    this.move(index);
    await this.refreshCounts();
  }

  /** The place of the open sheet, or of the one that its term stands on, among all. */
  place() {
    return this.sheets.findIndex((sheet) => sheet.some(({ term }) => term === this.opened[0]));
  }

  async step(by) {
    const to = this.sheets[this.place() + by];
    if (to) await this.open(this.numbers(to));
  }

  setThreshold(value) {
    this.threshold = value;
    this.lines.clear();
    this.show(true);
  }

  resize(by) {
    this.chosen = this.size = Math.max(0, Math.min(SIZES.length - 1, this.size + by));
    localStorage.setItem("size", this.size);
    this.sheet.layout();
    this.sheet.reveal(this.cursor);
  }

  /** Makes the pictures as large as all that are undecided fit into the view, unless a size was chosen. */
  fit() {
    if (this.chosen !== null) return;
    this.size = LARGEST_FITTED;
    while (this.size > 0 && this.room(this.size, this.isMixed) < this.undecided) this.size -= 1;
  }

  /** Has the sheets' pictures fit again. */
  fitAgain() {
    this.chosen = null;
    localStorage.removeItem("size");
    this.fit();
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

  /** What a key does here, or undefined. */
  key(name) {
    if (LABEL_KEYS.has(name)) return () => this.labelKey(name);
    const action = this.action(name);
    return action && (() => {
      this.type("");
      return action();
    });
  }

  /** Takes a key of a picture's label; the last one changes the picture's mark. */
  async labelKey(name) {
    const typed = this.typed + name;
    const index = this.rows.findIndex((row) => row.label === typed);
    const begins = this.rows.some((row) => row.label?.startsWith(typed));
    this.type(index < 0 && begins ? typed : "");
    if (index < 0) return;
    this.move(index);
    await this.toggle();
  }

  type(text) {
    if (text === this.typed) return;
    this.typed = text;
    this.sheet.renewAll();
  }

  action(name) {
    const moves = {
      ArrowRight: () => this.cursor + 1,
      ArrowLeft: () => this.cursor - 1,
      ArrowDown: () => this.sheet.vertical(this.cursor, 1),
      ArrowUp: () => this.sheet.vertical(this.cursor, -1),
      Home: () => 0,
      End: () => this.rows.length - 1,
      PageDown: () => this.sheet.vertical(this.cursor, this.sheet.rowsInView),
      PageUp: () => this.sheet.vertical(this.cursor, -this.sheet.rowsInView),
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
        const row = this.rows[this.cursor];
        if (row) this.lines.set(row.term, this.cursor);
        this.show(true);
      },
      z: () => this.zoom(),
      "+": () => this.resize(1),
      "-": () => this.resize(-1),
      "=": () => this.fitAgain(),
    }[name];
  }
}
