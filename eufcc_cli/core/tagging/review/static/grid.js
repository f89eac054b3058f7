// A list or grid of many items of one size, of which only those in view are in the document.

import { element } from "./api.js";

const SPARE = 2; // rows beyond the view that are drawn as well
const SMALL = 256; // pixels of the longer side of small thumbnails
const JUMP = 1.2; // views between two paints
const FAST = 4; // views a second
const SETTLED = 80; // milliseconds without a jump or fast move, after which pictures are loaded
export const RULE = 36; // pixels

export class WindowedGrid {
  /**
   * host: the element that scrolls. draw(item, index) makes an element, change(made, item, index) brings
   * it up to date, load(made, item) has its picture loaded. minWidth: of an item, in pixels (null: one
   * column); height(width): of an item.
   */
  constructor(host, { draw, change, load = () => {}, minWidth = () => null, height, gap = 8 }) {
    Object.assign(this, { host, draw, change, load, minWidth, height, gap });
    this.before = 0; // where it was scrolled to when it was last painted
    this.then = 0; // when that was
    this.items = [];
    this.drawn = new Map();
    this.rules = [];
    this.furthest = -1;
    this.room = element("div", { className: "room" });
    host.append(this.room);
    host.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(host);
  }

  /** Shows items, and rules with a text between them: [{ at: the index that a rule stands before, text }]. */
  show(items, { rules = [], keep = false } = {}) {
    this.items = items;
    if (!keep) {
      for (const made of this.drawn.values()) made.remove();
      this.drawn.clear();
      this.furthest = -1;
      this.host.scrollTop = this.before = 0;
    }
    for (const { made } of this.rules) made.remove();
    this.rules = rules.filter(({ at }) => at < items.length).map(({ at, text }) => (
      { at, made: element("div", { className: "rule" }, text) }));
    this.room.append(...this.rules.map(({ made }) => made));
    this.layout();
  }

  /** [columns, width of an item], where items have at least a width. */
  cut(least) {
    const width = this.host.clientWidth - this.gap;
    const columns = least === null ? 1 : Math.max(1, Math.floor(width / (least + this.gap)));
    return [columns, width / columns - this.gap];
  }

  /** How many items of a least width and of height(width) the view holds, besides some pixels. */
  holds(least, height, besides = 0) {
    const [columns, width] = this.cut(least);
    const free = this.host.clientHeight - this.gap / 2 - besides;
    return columns * Math.max(1, Math.floor(free / (height(width) + this.gap)));
  }

  layout() {
    if (this.host.clientWidth <= 2 * this.gap) return;
    [this.columns, this.itemWidth] = this.cut(this.minWidth());
    this.itemHeight = this.height(this.itemWidth);
    this.sections = [{ start: 0, row: 0 }];
    for (const { at } of this.rules) {
      const before = this.sections.at(-1);
      this.sections.push({ start: at, row: before.row + Math.ceil((at - before.start) / this.columns) });
    }
    const last = this.sections.at(-1);
    const rows = last.row + Math.ceil((this.items.length - last.start) / this.columns);
    const rules = this.rules.length * RULE;
    this.room.style.height = `${rows * (this.itemHeight + this.gap) + rules + this.gap}px`;
    this.rules.forEach(({ made }, number) => {
      const y = this.sections[number + 1].row * (this.itemHeight + this.gap) + this.gap + number * RULE;
      made.style.transform = `translateY(${y}px)`;
    });
    for (const [index, made] of this.drawn) this.place(made, index);
    this.paint();
  }

  /** The row of an item. */
  row(index) {
    const { start, row } = this.sections.findLast((section) => section.start <= index);
    return row + Math.floor((index - start) / this.columns);
  }

  /** The first item of a row. */
  first(row) {
    const section = this.sections.findLast((one) => one.row <= row);
    return section.start + (row - section.row) * this.columns;
  }

  top(row) {
    const rules = this.sections.findLastIndex((section) => section.row <= row);
    return row * (this.itemHeight + this.gap) + this.gap + rules * RULE;
  }

  /** How many rows of items fit into the view. */
  get rowsInView() {
    return Math.max(1, Math.floor(this.host.clientHeight / (this.itemHeight + this.gap)));
  }

  column(index) {
    return index - this.first(this.row(index));
  }

  /** The item some rows above or below another, in its column as far as the row has one. */
  vertical(index, step) {
    const last = this.items.length - 1;
    if (last < 0) return index;
    const to = Math.max(0, Math.min(this.row(last), this.row(index) + step));
    if (to === this.row(index)) return index;
    const next = this.sections.find((section) => section.row === to + 1)?.start ?? this.first(to + 1);
    return Math.min(this.first(to) + this.column(index), next - 1, last);
  }

  paint() {
    if (!this.columns) return;
    const { scrollTop, clientHeight } = this.host;
    const views = Math.abs(scrollTop - this.before) / clientHeight, now = performance.now();
    if (views > JUMP || views * 1000 > FAST * (now - this.then)) this.wait();
    this.before = scrollTop;
    this.then = now;
    const size = this.itemHeight + this.gap;
    const from = Math.max(0, Math.floor((scrollTop - this.rules.length * RULE) / size) - SPARE);
    const to = Math.ceil((scrollTop + clientHeight) / size) + SPARE;
    const first = Math.min(this.first(from), this.items.length);
    const last = Math.min(this.first(to + 1), this.items.length);
    for (const [index, made] of this.drawn) {
      if (index < first || index >= last) {
        made.remove();
        this.drawn.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (!this.drawn.has(index)) {
        const made = this.draw(this.items[index], index);
        this.drawn.set(index, made);
        this.place(made, index);
        this.change(made, this.items[index], index);
        if (!this.waiting) this.load(made, this.items[index]);
        this.room.append(made);
      }
      if (index > this.furthest && this.top(this.row(index)) + this.itemHeight / 2 <= scrollTop + clientHeight) {
        this.furthest = index;
      }
    }
  }

  /** Leaves pictures out while the view jumps or moves fast: they would be gone before they are seen. */
  wait() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.waiting = null;
      for (const [index, made] of this.drawn) this.load(made, this.items[index]);
    }, SETTLED);
  }

  place(made, index) {
    const x = this.gap + this.column(index) * (this.itemWidth + this.gap);
    made.style.transform = `translate(${x}px, ${this.top(this.row(index))}px)`;
    made.style.width = `${this.itemWidth}px`;
    made.style.height = `${this.itemHeight}px`;
  }

  /** Brings the element of an item up to date, if it is drawn. */
  renew(index) {
    const made = this.drawn.get(index);
    if (made) this.change(made, this.items[index], index);
  }

  renewAll() {
    for (const index of this.drawn.keys()) this.renew(index);
  }

  reveal(index) {
    if (!this.columns || index < 0) return;
    const top = this.top(this.row(index));
    const { scrollTop, clientHeight } = this.host;
    if (top < scrollTop) this.host.scrollTop = Math.max(0, top - this.gap);
    else if (top + this.itemHeight > scrollTop + clientHeight) {
      this.host.scrollTop = top + this.itemHeight + this.gap - clientHeight;
    }
    this.paint();
  }
}

/** The URL of an image's thumbnail that is shown in a width. */
export function thumbnail(image, width) {
  return `${width * devicePixelRatio <= SMALL ? "small" : "thumbnail"}/${image}`;
}

/** Has the thumbnail of an item loaded, if that was not done before. */
export function loadPicture(made, image, width) {
  const picture = made.querySelector("img");
  if (!picture.hasAttribute("src")) picture.src = thumbnail(image, width);
}
