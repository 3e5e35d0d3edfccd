// The names of a chart's lines with their values; one hides its line, shows it alone, or makes it stand out.

import { make, setAttribute, setStyle, setText } from "../overview/dom.js";

/**
 * @typedef {import("./lines.js").Look} Look
 * @typedef {object} Options
 * @property {() => void} changed  other lines are hidden than before
 * @property {(line: number | null) => void} stress
 */

const LONGEST_CH = 44; // a longer name is broken

export class Legend {
  /** Names of the lines that aren't drawn. @type {Set<string>} */
  hidden = new Set();
  /** @type {Look[]} */
  #looks = [];

  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.element = make("ul", "legend");
  }

  /** @param {Look[]} looks @param {string[]} values one for each, or empty @param {boolean} isBanded with what each was between */
  show(looks, values, isBanded) {
    this.#looks = looks;
    const { element } = this;
    const longest = Math.max(0, ...looks.map(({ name }) => name.length));
    setStyle(element, "--name", `${Math.min(LONGEST_CH, longest)}ch`);
    element.classList.toggle("banded", isBanded);
    while (element.childElementCount > looks.length) element.lastElementChild?.remove();
    while (element.childElementCount < looks.length) element.append(this.#entry());
    looks.forEach(({ name, colour, dash }, place) => {
      const button = /** @type {HTMLButtonElement} */ (element.children[place]?.firstElementChild);
      const [swatch, label, value] = /** @type {[HTMLElement, HTMLElement, HTMLElement]} */ ([...button.children]);
      setStyle(swatch, "background", dash.length > 0 ? `repeating-linear-gradient(90deg, ${colour} 0 4px, transparent 4px 7px)` : colour);
      setText(label, name);
      setText(value, values[place] ?? "");
      setAttribute(button, "aria-pressed", String(!this.hidden.has(name)));
      setAttribute(button, "title", name);
    });
  }

  /** The line that stands out. @param {number | null} line */
  stress(line) {
    [...this.element.children].forEach((entry, at) => entry.classList.toggle("near", at === line));
  }

  #entry() {
    const button = make("button", "", make("i"), make("span"), make("b"));
    button.type = "button";
    button.addEventListener("click", (event) => this.#pick(button.title, event.shiftKey || event.altKey));
    button.addEventListener("contextmenu", (event) => {
      if (!(event instanceof PointerEvent) || event.pointerType !== "touch") return;
      event.preventDefault(); // a finger that is held
      this.#pick(button.title, true);
    });
    const stress = () => this.options.stress(this.#placeOf(button.title));
    const calm = () => this.options.stress(null);
    for (const type of ["mouseenter", "focus"]) button.addEventListener(type, stress);
    for (const type of ["mouseleave", "blur"]) button.addEventListener(type, calm);
    return make("li", "", button);
  }

  /** Of a line that is drawn. @param {string} name */
  #placeOf(name) {
    const at = this.hidden.has(name) ? -1 : this.#looks.findIndex((look) => look.name === name);
    return at < 0 ? null : at;
  }

  /** Hides a line or shows it again; `alone` hides all others. @param {string} name @param {boolean} alone */
  #pick(name, alone) {
    const others = this.#looks.map((look) => look.name).filter((each) => each !== name);
    if (alone) {
      const isAlone = !this.hidden.has(name) && others.every((each) => this.hidden.has(each));
      this.hidden = new Set(isAlone ? [] : others);
    } else if (!this.hidden.delete(name)) this.hidden.add(name);
    this.options.changed();
  }
}
