// Draws of a long list only the rows in view. Rows stand at their place by a transform, so one that changes moves no other.

import { setStyle } from "./dom.js";
import { Heights } from "./heights.js";
import { GroupRow, HostRow, shapeOf } from "./row.js";

/**
 * @typedef {import("./order.js").Item} Item
 * @typedef {import("./row.js").How} How
 */

const ALL_UP_TO = 60; // rows; so many are all there, and the browser's own search finds them
const BEYOND_PX = 500;
const POOL = 80;

export class HostList {
  /** @param {HTMLElement} body @param {() => void} changed  called when a scroll or a new size wants a frame */
  constructor(body, changed) {
    this.body = body;
    /** @type {Item[]} */
    this.items = [];
    /** @type {Map<string, HostRow | GroupRow>} what is drawn, by key */
    this.rows = new Map();
    /** @type {HostRow[]} */
    this._spare = [];
    this._heights = new Heights();
    this._tilesPerLine = 8;
    this._width = 0;
    /** @type {string[]} */
    this._shapes = [];
    this._isLaid = false;
    globalThis.addEventListener("scroll", changed, { passive: true });
    globalThis.addEventListener("resize", changed);
  }

  /** @param {Item[]} items */
  set(items) {
    this.items = items;
    this._isLaid = false;
  }

  /** One frame: what is in view is drawn, the rest is taken away. @param {How} how */
  draw(how) {
    this._measureWidth();
    if (!this._isLaid) this._lay();
    this._drawInView(how);
    if (this._learnHeights()) {
      this._lay();
      this._drawInView(how);
      this._learnHeights();
    }
  }

  /** @param {How} how */
  tick(how) {
    for (const row of this.rows.values()) row.tick(how);
  }

  _measureWidth() {
    const width = this.body.clientWidth;
    if (width === this._width) return;
    this._width = width;
    this._heights.forget();
    this._isLaid = false;
    const perLine = Number(getComputedStyle(this.body).getPropertyValue("--tiles-per-line"));
    this._tilesPerLine = perLine || 8;
  }

  _lay() {
    this._shapes = this.items.map((item) => shapeOf(item, this._tilesPerLine));
    this._heights.lay(this._shapes);
    this._isLaid = true;
    setStyle(this.body, "height", `${this._heights.total}px`);
  }

  /** @returns {[number, number]} */
  _range() {
    if (this.items.length <= ALL_UP_TO) return [0, this.items.length];
    const top = this.body.getBoundingClientRect().top;
    return this._heights.range(-top - BEYOND_PX, innerHeight - top + BEYOND_PX);
  }

  /** @param {How} how */
  _drawInView(how) {
    const [first, end] = this._range();
    const focused = this._focusedKey();
    /** @type {Map<string, number>} */
    const wanted = new Map();
    const before = focused === null ? -1 : this.items.findIndex((item) => item.key === focused);
    if (before >= 0 && before < first) wanted.set(/** @type {string} */ (focused), before);
    for (let index = first; index < end; index += 1) wanted.set(/** @type {Item} */ (this.items[index]).key, index);
    if (before >= end) wanted.set(/** @type {string} */ (focused), before);
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      this.rows.delete(key);
      row.element.remove();
      if (row instanceof HostRow && this._spare.length < POOL) this._spare.push(row);
    }
    const nodes = [...wanted].map(([key, index]) => this._drawRow(key, index, how));
    this._inOrder(nodes);
  }

  /** @param {string} key @param {number} index @param {How} how */
  _drawRow(key, index, how) {
    const item = /** @type {Item} */ (this.items[index]);
    let row = this.rows.get(key);
    if (!row) {
      row = item.kind === "group" ? new GroupRow() : (this._spare.pop() ?? new HostRow());
      this.rows.set(key, row);
    }
    if (item.kind === "group") /** @type {GroupRow} */ (row).draw(item, index);
    else /** @type {HostRow} */ (row).draw(item, index, how);
    setStyle(row.element, "transform", `translateY(${this._heights.top(index)}px)`);
    return row.element;
  }

  /** Around the row that has the focus, which would lose it if it were moved. @param {HTMLElement[]} nodes */
  _inOrder(nodes) {
    const held = Math.max(0, nodes.findIndex((node) => node.contains(document.activeElement)));
    const anchor = nodes[held];
    if (!anchor) return;
    if (anchor.parentNode !== this.body) this.body.prepend(anchor);
    let previous = anchor;
    for (const node of nodes.slice(held + 1)) {
      if (previous.nextSibling !== node) this.body.insertBefore(node, previous.nextSibling);
      previous = node;
    }
    let next = anchor;
    for (const node of nodes.slice(0, held).reverse()) {
      if (next.previousSibling !== node) this.body.insertBefore(node, next);
      next = node;
    }
  }

  /** @returns {string | null} */
  _focusedKey() {
    const active = document.activeElement;
    if (!active || !this.body.contains(active)) return null;
    for (const [key, row] of this.rows) if (row.element.contains(active)) return key;
    return null;
  }

  /** Reads the layout once, and only for shapes that were not seen before. @returns {boolean} whether rows stand elsewhere now */
  _learnHeights() {
    let isNews = false;
    for (const row of this.rows.values()) {
      const shape = this._shapes[row.index] ?? "";
      if (!this._heights.knows(shape)) isNews = this._heights.learn(shape, row.element.offsetHeight) || isNews;
    }
    return isNews;
  }

  /** @param {string} key */
  scrollTo(key) {
    const index = this.items.findIndex((item) => item.key === key);
    if (index < 0) return;
    const top = this.body.getBoundingClientRect().top + this._heights.top(index);
    if (top < 60 || top > innerHeight - 80) scrollBy(0, top - innerHeight / 3);
  }
}
