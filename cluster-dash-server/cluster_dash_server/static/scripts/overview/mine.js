// The chip "mine": whose GPUs are mine is asked once, kept in this browser, and put into the filter as a plain word.

import { byId, setAttribute, setText } from "./dom.js";
import { hasWord, toggleWord, wordFor } from "./filter.js";

/** @typedef {import("./view.js").View} View */

const KEPT_AS = "cluster-dash-user";

/** The browser may forbid to keep anything; then it is asked again on the next page. @returns {string} */
function keptName() {
  try {
    return localStorage.getItem(KEPT_AS) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name */
function keep(name) {
  try {
    localStorage.setItem(KEPT_AS, name);
  } catch {
    // It holds for this page.
  }
}

export class Mine {
  /** @param {() => View} view @param {(change: Partial<View>) => void} change */
  constructor(view, change) {
    this.chip = byId("mine");
    this.box = /** @type {HTMLInputElement} */ (byId("mine-name"));
    this.other = byId("mine-other");
    this.names = byId("mine-names");
    this.name = keptName();
    this._view = view;
    this._change = change;
    this.chip.addEventListener("click", () => (this.name ? change({ q: toggleWord(view().q, this.word) }) : this._ask()));
    this.other.addEventListener("click", () => this._ask());
    this.box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Enter" && this.box.value.trim()) this._take(this.box.value.trim());
      this._ended();
      this.chip.focus();
    });
    this.box.addEventListener("blur", () => this._ended());
  }

  get word() {
    return wordFor("user", this.name);
  }

  _ask() {
    this.box.value = this.name;
    this.box.hidden = false;
    this.box.focus();
    this.box.select();
  }

  _ended() {
    this.box.hidden = true;
  }

  /** @param {string} name */
  _take(name) {
    const { q } = this._view();
    const without = this.name && hasWord(q, this.word) ? toggleWord(q, this.word) : q;
    this.name = name;
    keep(name);
    this._change({ q: hasWord(without, this.word) ? without : toggleWord(without, this.word) });
  }

  /** @param {View} view @param {string[]} users  to choose from */
  draw(view, users) {
    const isOn = this.name !== "" && hasWord(view.q, this.word);
    setAttribute(this.chip, "aria-pressed", String(isOn));
    setAttribute(this.chip, "title", this.name ? this.word : "asks once for your user name, and keeps it in this browser");
    this.other.hidden = !isOn;
    setText(this.other, `not ${this.name}?`);
    if (!this.box.hidden && this.names.childElementCount !== users.length) {
      this.names.replaceChildren(...users.map((user) => Object.assign(document.createElement("option"), { value: user })));
    }
  }
}
