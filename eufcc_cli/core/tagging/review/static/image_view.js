// By image: one picture large, with its suggestions by facet, and what the record says today.

import { allIsWell, byId, element, get, inTurn, number, percent, post } from "./api.js";
import { TermBox } from "./term_box.js";
import { loadPicture, WindowedGrid } from "./grid.js";

const WAIT = 700; // milliseconds for the second digit of a number

export class ImageView {
  constructor(app) {
    this.app = app;
    this.images = [];
    this.index = 0;
    this.about = null;
    this.chips = [];
    this.typed = "";
    this.list = new WindowedGrid(byId("image-list"), {
      height: () => 64 * this.scale(),
      gap: 2,
      draw: (image) => this.entry(image),
      change: (made, image, index) => this.paintEntry(made, image, index),
      load: (made, image) => loadPicture(made, image.image, 64 * this.scale()),
    });
    this.box = new TermBox((found) => inTurn(() => this.add(found)));
    this.connect();
  }

  scale() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  }

  get image() {
    return this.images[this.index]?.image ?? null;
  }

  connect() {
    const on = (id, action) => byId(id).addEventListener("click", () => {
      byId(id).blur();
      inTurn(action);
    });
    on("accept-rest", () => this.rest("accepted"));
    on("reject-rest", () => this.rest("rejected"));
    on("next-image", () => this.step(1));
    on("previous-image", () => this.step(-1));
    byId("large").addEventListener("click", () => {
      byId("large").blur();
      this.zoom();
    });
    byId("image-list").addEventListener("click", (event) => {
      const entry = event.target.closest(".entry");
      if (entry) inTurn(() => this.open(Number(entry.dataset.index)));
    });
    byId("chips").addEventListener("click", (event) => {
      const button = event.target.closest("button[data-verdict]");
      if (!button) return;
      const row = this.chips[Number(button.dataset.chip)];
      const verdict = row.verdict === button.dataset.verdict || (row.verdict === "added" && button.dataset.verdict === "accepted")
        ? "undecided" : button.dataset.verdict;
      if (event.detail) button.blur();
      inTurn(() => this.save([[row.row, verdict]]));
    });
  }

  async load(wanted = null) {
    await this.useTyped();
    await this.loadImages();
    const place = this.images.findIndex((one) => one.image === wanted);
    const undecided = this.images.findIndex((one) => one.left);
    await this.open(place >= 0 ? place : Math.max(0, undecided));
  }

  async loadImages() {
    const { images } = await get("images", this.app.filters());
    this.images = images.map(([image, left, total, name]) => ({ image, left, total, name }));
    this.list.show(this.images);
  }

  async open(index) {
    await this.useTyped(); // of the image that is left
    this.index = Math.max(0, Math.min(this.images.length - 1, index));
    await this.read();
    const { image, name } = this.images[this.index] ?? {};
    const picture = byId("large-picture");
    if (image === undefined) picture.removeAttribute("src");
    else picture.src = `picture/${image}`;
    picture.alt = name ?? "";
    this.list.renewAll();
    this.list.reveal(this.index);
    byId("image-list").setAttribute("aria-activedescendant", `image-${image}`);
    byId("chips").scrollTop = 0;
    const next = this.images[this.index + 1];
    if (next) new Image().src = `picture/${next.image}`;
    this.app.remember();
  }

  async read() {
    this.about = this.image === null ? null : await get(`image/${this.image}`);
    this.paint();
  }

  paint() {
    const about = this.about;
    byId("image-name").textContent = about ? (this.images[this.index]?.name ?? about.name) : "No image to show";
    const facts = about ? [about.id, about.provider, about.model && `tagged by ${about.model}`] : [];
    byId("image-about").textContent = facts.filter(Boolean).join(" · ");
    byId("image-about").title = about?.name ?? "";
    if (about?.url) {
      byId("image-about").append(facts.some(Boolean) ? " · " : "", element("a", { href: about.url, target: "_blank", rel: "noreferrer" }, "open it on the web"));
    }
    this.chips = [];
    const facets = Object.entries(about?.facets ?? {});
    byId("chips").replaceChildren(
      ...facets.map(([facet, rows]) => element("section", { className: "facet", "aria-label": facet },
        element("h3", {}, facet),
        ...rows.map((row) => this.chip(row)))),
      ...(about?.error ? [element("p", { className: "nothing" }, about.error)] : []),
      ...(about && !facets.length && !about.error ? [element("p", { className: "nothing" }, "No suggestion for this image.")] : []));
    this.paintRecord();
    for (const id of ["accept-rest", "reject-rest"]) byId(id).disabled = !this.open_rows().length;
  }

  open_rows() {
    return this.chips.filter((row) => row.verdict === "undecided");
  }

  chip(row) {
    const chip = this.chips.push(row) - 1;
    const tag = row.path.at(-1);
    const yes = row.verdict === "accepted" || row.verdict === "added", no = row.verdict === "rejected";
    const bar = element("span", { className: "bar", "aria-hidden": "true" }, element("span", {}));
    bar.firstChild.style.width = `${(row.score ?? 1) * 100}%`;
    const names = row.names.map(([language, name]) => `${name} (${language})`).join(", ");
    const notes = [row.record ? "in record" : null, row.contradicts ? "≠ record" : null].filter(Boolean).join(", ");
    const word = yes ? "accepted" : no ? "rejected" : "undecided";
    return element("div", { className: `chip ${word}`, role: "group", "data-row": row.row, title: names,
      "aria-label": `${tag}, ${percent(row.score)}, ${row.verdict}` },
      element("span", { className: "digit" }, element("kbd", {}, String(chip + 1))),
      element("span", { className: "path" },
        row.path.length > 1 ? element("span", { className: "crumbs" }, `${row.path.slice(0, -1).join(" › ")} › `) : null,
        element("strong", {}, tag),
        notes ? element("span", { className: "note" }, notes) : null,
        row.flags.length ? element("span", { className: "flag" }, `⚑ ${row.flags.join("; ")}`) : null),
      element("span", { className: "probability" }, bar, element("span", { className: "score" }, percent(row.score))),
      element("button", { type: "button", className: "yes", "data-verdict": "accepted", "data-chip": chip, "aria-pressed": yes, "aria-label": `Accept ${tag}` }, "✓"),
      element("button", { type: "button", className: "no", "data-verdict": "rejected", "data-chip": chip, "aria-pressed": no, "aria-label": `Reject ${tag}` }, "✗"));
  }

  paintRecord() {
    const record = Object.entries(this.about?.record ?? {});
    byId("record").hidden = !this.about;
    byId("record").replaceChildren(
      element("h3", {}, "The record today"),
      ...(record.length
        ? record.map(([facet, paths]) => element("p", {}, element("span", { className: "crumbs" }, `${facet} `),
          ...paths.map((path) => element("span", { className: "term" }, path.join(" › ")))))
        : [element("p", { className: "nothing" }, "No record of this image is known here.")]));
  }

  entry(image) {
    return element("div", { className: "entry image", role: "option", id: `image-${image.image}` },
      element("img", { alt: "", decoding: "async" }),
      element("span", { className: "name" }, image.name),
      element("span", { className: "left" }));
  }

  paintEntry(made, image, index) {
    const current = index === this.index;
    made.dataset.index = index;
    made.classList.toggle("current", current);
    made.classList.toggle("done", !image.left);
    made.setAttribute("aria-selected", current);
    made.setAttribute("aria-setsize", this.images.length);
    made.setAttribute("aria-posinset", index + 1);
    made.querySelector(".left").textContent = image.left ? number(image.left) : "✓";
    made.querySelector(".left").title = image.left ? `${number(image.left)} of ${number(image.total)} to decide` : "all decided";
  }

  async save(rows) {
    const place = { view: "images", image: this.image, rows: rows.length };
    const answer = await post("decide", { rows });
    allIsWell();
    await this.app.took(answer, place);
  }

  async add(found) {
    if (this.image === null) return;
    const place = { view: "images", image: this.image, rows: 1 };
    const answer = await post("add", { image: this.image, facet: found.facet, tag: found.path.at(-1) });
    allIsWell();
    await this.app.took(answer, place);
  }

  /** Decides what is still undecided of the image, and goes to the next undecided one. */
  async rest(verdict) {
    const rows = this.open_rows().map((row) => [row.row, verdict]);
    if (rows.length) await this.save(rows);
    const order = [...this.images.keys()];
    const after = [...order.slice(this.index + 1), ...order.slice(0, this.index)];
    const next = after.find((index) => this.images[index].left);
    if (next !== undefined) await this.open(next);
    else this.app.finished();
  }

  async step(by) {
    const to = this.index + by;
    if (to >= 0 && to < this.images.length) await this.open(to);
  }

  zoom() {
    if (this.image !== null) this.app.openLarge(this.image, this.images[this.index].name);
  }

  /** Takes in verdicts that changed, here or on another page: [row, image, term, verdict]. */
  async changed(rows) {
    if (!rows.length) return;
    const left = new Map();
    const { images } = await get("images", { ...this.app.filters(), undecided: undefined });
    for (const [image, open] of images) left.set(image, open);
    for (const image of this.images) image.left = left.get(image.image) ?? image.left;
    this.list.renewAll();
    if (rows.some(([, image]) => image === this.image)) await this.read();
  }

  /** Takes a digit; a number of two digits may follow within a moment. */
  digit(name) {
    this.typed += name;
    clearTimeout(this.timer);
    if (Number(this.typed) * 10 > this.chips.length) return this.useTyped();
    this.timer = setTimeout(() => inTurn(() => this.useTyped()), WAIT);
  }

  /** Rejects the suggestion whose number was typed; accepts it where it is rejected already. */
  async useTyped() {
    clearTimeout(this.timer);
    const row = this.chips[Number(this.typed) - 1];
    this.typed = "";
    if (row) await this.save([[row.row, row.verdict === "rejected" ? "accepted" : "rejected"]]);
  }

  key(name) {
    if (/^[0-9]$/.test(name)) return () => this.digit(name);
    const next = () => this.step(1), previous = () => this.step(-1);
    const action = {
      ArrowRight: next, ArrowDown: next, j: next,
      ArrowLeft: previous, ArrowUp: previous, k: previous,
      Enter: () => this.rest("accepted"),
      a: () => this.rest("accepted"),
      r: () => this.rest("rejected"),
      "/": () => byId("add").focus(),
      z: () => this.zoom(),
    }[name];
    if (!action || !this.typed) return action;
    return async () => {
      await this.useTyped();
      await action();
    };
  }
}
