// Shows the card of a GPU or a host: on hover, on focus, on tap; Esc, scrolling and a click elsewhere take it away.

import { byId, fill, make, setAttribute, setClass, setStyle, setText } from "./dom.js";
import { placeOf } from "./place.js";

/** @typedef {import("./explain.js").Card} Content */

const HOVER_MS = 120;
const LEAVE_MS = 200;

export class HoverCard {
  /** @param {HTMLElement} area  where things with a card are @param {(target: Element) => Content | null} explain @param {(node: Element) => Element | null} find */
  constructor(area, explain, find) {
    this.element = byId("card");
    this._explain = explain;
    /** @type {Element | null} */
    this._target = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
    this._byKeyboard = false;
    const targetOf = (/** @type {Event} */ event) => find(/** @type {Element} */ (event.target));
    area.addEventListener("pointerover", (event) => {
      if (event.pointerType === "touch") return;
      const target = targetOf(event);
      if (target && target !== this._target) this._later(() => this.show(target), HOVER_MS);
      else if (target) clearTimeout(this._timer);
    });
    area.addEventListener("pointerout", (event) => {
      if (event.pointerType !== "touch" && targetOf(event)) this._later(() => this.hide(), LEAVE_MS);
    });
    this.element.addEventListener("pointerenter", () => clearTimeout(this._timer));
    this.element.addEventListener("pointerleave", () => this._later(() => this.hide(), LEAVE_MS));
    area.addEventListener("focusin", (event) => {
      const target = targetOf(event);
      if (target && /** @type {Element} */ (event.target).matches(":focus-visible")) this.show(target);
    });
    area.addEventListener("focusout", () => this._later(() => this.hide(), 0));
    area.addEventListener("click", (event) => {
      const target = targetOf(event);
      if (target && !/** @type {Element} */ (event.target).closest("a")) this.show(target);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.hide();
    });
    document.addEventListener("pointerdown", (event) => {
      const node = /** @type {Element} */ (event.target);
      if (!this.element.contains(node) && !find(node)) this.hide();
    });
    globalThis.addEventListener("scroll", () => this._target && this.place(), { passive: true });
  }

  get isShown() {
    return this._target !== null;
  }

  /** @param {() => void} step @param {number} ms */
  _later(step, ms) {
    clearTimeout(this._timer);
    this._timer = setTimeout(step, ms);
  }

  /** @param {Element} target */
  show(target) {
    clearTimeout(this._timer);
    const content = this._explain(target);
    if (!content) return;
    this._target?.removeAttribute("aria-describedby");
    this._target = target;
    setAttribute(target.matches("button, a") ? target : (target.querySelector("a, button") ?? target), "aria-describedby", "card");
    drawCard(this.element, content);
    this.element.hidden = false;
    this.place();
  }

  /** What it says may have changed. */
  refresh() {
    if (!this._target) return;
    const content = this._target.isConnected ? this._explain(this._target) : null;
    if (!content) this.hide();
    else drawCard(this.element, content);
  }

  hide() {
    clearTimeout(this._timer);
    if (!this._target) return;
    for (const node of document.querySelectorAll('[aria-describedby="card"]')) node.removeAttribute("aria-describedby");
    this._target = null;
    this.element.hidden = true;
  }

  place() {
    if (!this._target) return;
    const at = this._target.getBoundingClientRect();
    if (at.bottom < 0 || at.top > innerHeight) return this.hide();
    setStyle(this.element, "max-height", "none");
    const size = { width: this.element.offsetWidth, height: this.element.offsetHeight };
    const { left, top, height } = placeOf(at, size, { width: document.documentElement.clientWidth, height: innerHeight });
    setStyle(this.element, "left", `${left}px`);
    setStyle(this.element, "top", `${top}px`);
    setStyle(this.element, "max-height", `${height}px`);
  }
}

/** @param {HTMLElement} card @param {Content} content */
function drawCard(card, content) {
  if (!card.firstChild) card.append(make("p", "title", make("b"), make("span")), make("dl"), make("div", "said"));
  const [title, list, said] = /** @type {[Element, Element, Element]} */ ([...card.children]);
  setText(/** @type {Element} */ (title.firstElementChild), content.title);
  setText(/** @type {Element} */ (title.lastElementChild), content.state);
  setClass(/** @type {Element} */ (title.lastElementChild), `state ${content.kind}`);
  fill(said, content.said, () => make("p", "", make("b"), make("span")), (line, { level, text, todo }) => {
    setClass(line, level);
    setText(/** @type {Element} */ (line.firstElementChild), text);
    setText(/** @type {Element} */ (line.lastElementChild), todo ?? "");
  });
  fill(list, content.lines, () => make("div", "", make("dt"), make("dd")), (line, [what, value]) => {
    setText(/** @type {Element} */ (line.firstElementChild), what);
    setText(/** @type {Element} */ (line.lastElementChild), value);
  });
}
