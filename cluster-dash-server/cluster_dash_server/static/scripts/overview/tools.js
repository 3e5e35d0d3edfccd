// The filter box, its chips, what the list is sorted and grouped by, and which look the tiles have.

import { byId, make, setAttribute, setText } from "./dom.js";
import { hasWord, toggleWord } from "./filter.js";
import { firstDirection, turned } from "./view.js";
import { amount, counted } from "./wording.js";

/**
 * @typedef {import("./view.js").View} View
 * @typedef {(change: Partial<View>, isTyping?: boolean) => void} Change
 */

export class Tools {
  /** @param {() => View} view @param {Change} change */
  constructor(view, change) {
    this.box = /** @type {HTMLInputElement} */ (byId("filter"));
    this.sort = /** @type {HTMLSelectElement} */ (byId("sort"));
    this.group = /** @type {HTMLSelectElement} */ (byId("group"));
    this.shown = byId("shown");
    this.chips = [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-chip]"))];
    this.heads = [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-sort]"))];
    this.looks = [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-look]"))];
    this.box.addEventListener("input", () => change({ q: this.box.value }, true));
    this.box.form?.addEventListener("submit", (event) => event.preventDefault());
    for (const chip of this.chips) {
      const word = chip.dataset.chip ?? "";
      chip.addEventListener("click", () => change({ q: word ? toggleWord(view().q, word) : "" }));
    }
    for (const head of this.heads) head.addEventListener("click", () => change(turned(view(), head.dataset.sort ?? "name")));
    this.sort.addEventListener("change", () => change({ sort: this.sort.value, dir: firstDirection(this.sort.value) }));
    this.group.addEventListener("change", () => change({ group: this.group.value }));
    for (const look of this.looks) look.addEventListener("click", () => change({ look: /** @type {"work" | "power"} */ (look.dataset.look) }));
    document.addEventListener("keydown", (event) => this._key(event, view, change));
  }

  /** @param {KeyboardEvent} event @param {() => View} view @param {Change} change */
  _key(event, view, change) {
    const target = /** @type {Element} */ (event.target);
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !target.matches("input, select, textarea")) {
      event.preventDefault();
      this.box.focus();
      this.box.select();
    } else if (event.key === "Escape" && target === this.box) {
      if (view().q) change({ q: "" });
      else this.box.blur();
    }
  }

  /** @param {View} view @param {{ shown: number, all: number, gpus: number | null, tagKeys: string[], counts: Record<string, number> }} now */
  draw(view, { shown, all, gpus, tagKeys, counts }) {
    if (this.box.value.trim() !== view.q.trim()) this.box.value = view.q;
    for (const chip of this.chips) {
      const word = chip.dataset.chip ?? "";
      setAttribute(chip, "aria-pressed", String(word ? hasWord(view.q, word) : view.q.trim() === ""));
      const count = chip.querySelector("span");
      if (count) setText(count, counts[word] ? amount(counts[word] ?? 0) : "");
    }
    for (const head of this.heads) {
      const isBy = head.dataset.sort === view.sort;
      setAttribute(/** @type {Element} */ (head.parentElement), "aria-sort", isBy ? (view.dir === "asc" ? "ascending" : "descending") : null);
    }
    for (const look of this.looks) setAttribute(look, "aria-pressed", String(look.dataset.look === view.look));
    this._drawGroups(view, tagKeys);
    if (this.sort.value !== view.sort) this.sort.value = view.sort;
    const picked = gpus === null ? "" : `, ${counted(gpus, "GPU")}`;
    setText(this.shown, view.q.trim() ? `${amount(shown)} of ${counted(all, "host")}${picked}` : "");
  }

  /** @param {View} view @param {string[]} tagKeys */
  _drawGroups(view, tagKeys) {
    const extra = tagKeys.map((key) => `tag:${key}`);
    if (view.group.startsWith("tag:") && !extra.includes(view.group)) extra.push(view.group);
    const there = [...this.group.options].filter((option) => option.value.startsWith("tag:"));
    if (there.map((option) => option.value).join("\n") !== extra.join("\n")) {
      for (const option of there) option.remove();
      for (const value of extra) {
        const option = make("option", "", value.slice("tag:".length));
        option.value = value;
        this.group.append(option);
      }
    }
    if (this.group.value !== view.group) this.group.value = view.group;
  }
}
