// The box that finds a term of the vocabulary by its first letters.

import { byId, element, get, inTurn } from "./api.js";

export class TermBox {
  /** chosen(found): called with the term that was picked. */
  constructor(chosen) {
    this.input = byId("add");
    this.list = byId("found");
    this.found = [];
    this.current = 0;
    this.chosen = chosen;
    this.input.addEventListener("input", () => inTurn(() => this.search()));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // a press in the list, or on its scroll bar, leaves the focus in the box
      const option = event.target.closest("li[role=option]");
      if (option) this.pick(Number(option.dataset.index));
    });
  }

  async search() {
    const text = this.input.value;
    const { found } = await get("search", { text });
    if (text !== this.input.value) return;
    this.found = found;
    this.current = 0;
    this.paint();
  }

  paint() {
    const open = this.input.value.trim() !== "";
    this.list.replaceChildren(...this.found.map(({ facet, path, name }, index) => element("li",
      { role: "option", id: `found-${index}`, "data-index": index, "aria-selected": index === this.current },
      element("strong", {}, path.at(-1)),
      name ? element("span", { className: "note" }, name) : null,
      element("span", { className: "crumbs" }, [facet, ...path.slice(0, -1)].join(" › ")))));
    if (open && !this.found.length) this.list.append(element("li", { className: "nothing" }, "no such term in the vocabulary"));
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", open);
    this.input.setAttribute("aria-activedescendant", open && this.found.length ? `found-${this.current}` : "");
    this.list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      this.current = (this.current + step + this.found.length) % this.found.length;
      this.paint();
    } else if (event.key === "Enter") {
      inTurn(() => this.pick(this.current)); // after the search for what was typed last
    } else if (event.key === "Escape") {
      this.close();
      this.input.blur();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(index) {
    const found = this.found[index];
    if (!found) return;
    this.chosen(found);
    this.close();
    this.input.blur();
  }

  close() {
    this.input.value = "";
    this.found = [];
    this.paint();
  }
}
