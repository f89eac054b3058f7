// A list or grid of many items of one size, of which only those in view are in the document.

import { element } from "./api.js";

const SPARE = 2; // rows beyond the view that are drawn as well

export class WindowedGrid {
  /**
   * host: the element that scrolls. draw(item, index) makes an element, change(made, item, index) brings
   * it up to date. minWidth: of an item, in pixels (null: one column); height(width): of an item.
   */
  constructor(host, { draw, change, minWidth = () => null, height, gap = 8 }) {
    Object.assign(this, { host, draw, change, minWidth, height, gap });
    this.items = [];
    this.drawn = new Map();
    this.break = null;
    this.furthest = -1;
    this.room = element("div", { className: "room" });
    this.rule = element("div", { className: "rule", hidden: true });
    this.room.append(this.rule);
    host.append(this.room);
    host.addEventListener("scroll", () => this.paint(), { passive: true });
    new ResizeObserver(() => this.layout()).observe(host);
  }

  /** Shows items; lineAt: the index before which a line with a text stands, or null. */
  show(items, { lineAt = null, text = "", keep = false } = {}) {
    this.items = items;
    if (!keep) {
      for (const made of this.drawn.values()) made.remove();
      this.drawn.clear();
      this.furthest = -1;
      this.host.scrollTop = 0;
    }
    this.line(lineAt, text);
  }

  line(lineAt, text) {
    this.break = lineAt !== null && lineAt < this.items.length ? lineAt : null;
    this.rule.textContent = text;
    this.rule.hidden = this.break === null;
    this.layout();
  }

  layout() {
    const width = this.host.clientWidth - 2 * this.gap;
    if (width <= 0) return;
    const least = this.minWidth();
    this.columns = least === null ? 1 : Math.max(1, Math.floor((width + this.gap) / (least + this.gap)));
    this.itemWidth = (width + this.gap) / this.columns - this.gap;
    this.itemHeight = this.height(this.itemWidth);
    this.above = this.break === null ? 0 : Math.ceil(this.break / this.columns);
    this.ruleHeight = this.break === null ? 0 : 36;
    const below = this.items.length - (this.break ?? 0);
    const rows = this.above + Math.ceil(below / this.columns);
    this.room.style.height = `${rows * (this.itemHeight + this.gap) + this.ruleHeight + this.gap}px`;
    this.rule.style.transform = `translateY(${this.top(this.above) - this.ruleHeight}px)`;
    this.paint();
  }

  /** The row of an item. */
  row(index) {
    if (this.break === null || index < this.break) return Math.floor(index / this.columns);
    return this.above + Math.floor((index - this.break) / this.columns);
  }

  /** The first item of a row. */
  first(row) {
    if (this.break === null || row < this.above) return row * this.columns;
    return this.break + (row - this.above) * this.columns;
  }

  top(row) {
    const shift = this.break !== null && row >= this.above ? this.ruleHeight : 0;
    return row * (this.itemHeight + this.gap) + this.gap + shift;
  }

  column(index) {
    return index - this.first(this.row(index));
  }

  /** The item above or below another, in its column as far as the row has one. */
  vertical(index, step) {
    const row = this.row(index) + step;
    const last = this.items.length - 1;
    if (row < 0 || row > this.row(last)) return index;
    const end = Math.min(this.first(row + 1) - 1, this.break !== null && row < this.above ? this.break - 1 : last, last);
    return Math.min(this.first(row) + this.column(index), end);
  }

  paint() {
    if (!this.columns) return;
    const { scrollTop, clientHeight } = this.host;
    const size = this.itemHeight + this.gap;
    const from = Math.max(0, Math.floor((scrollTop - this.ruleHeight) / size) - SPARE);
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
      let made = this.drawn.get(index);
      if (!made) {
        made = this.draw(this.items[index], index);
        this.drawn.set(index, made);
        this.room.append(made);
      }
      const x = this.gap + this.column(index) * (this.itemWidth + this.gap);
      const y = this.top(this.row(index));
      made.style.transform = `translate(${x}px, ${y}px)`;
      made.style.width = `${this.itemWidth}px`;
      made.style.height = `${this.itemHeight}px`;
      this.change(made, this.items[index], index);
      if (y + this.itemHeight / 2 <= scrollTop + clientHeight) this.furthest = Math.max(this.furthest, index);
    }
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
