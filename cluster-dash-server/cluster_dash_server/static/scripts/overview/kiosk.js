// The hosts on a wall screen: as large as the screen lets all of them be, else page by page. Stands in for list.js.

import { byId, setStyle, setText } from "./dom.js";
import { HostRow } from "./row.js";

/**
 * @typedef {import("./order.js").Item} Item
 * @typedef {import("./row.js").How} How
 * @typedef {{ columns: number, lines: number, scale: number, pages: number }} Plan
 */

const CARD_PX = { width: 500, height: 90, line: 49 }; // at scale 1: 8 GPUs side by side below the name
const GAP_PX = 8;
const LEAST_SCALE = 0.8;
const LARGEST_SCALE = 2.2;
const MOST_COLUMNS = 6;
const PAGE_MS = 12_000;
const TILES_PER_LINE = 8;

/** How many columns make the cards largest; where even those are too small, how many pages. @param {number} count @param {number} tileLines of the host with the most @param {number} width @param {number} height @returns {Plan} */
export function planBoard(count, tileLines, width, height) {
  const cardHeight = CARD_PX.height + (tileLines - 1) * CARD_PX.line;
  /** @type {Plan} */
  let best = { columns: 1, lines: 1, scale: 0, pages: 1 };
  for (let columns = 1; columns <= MOST_COLUMNS; columns += 1) {
    const lines = Math.ceil(count / columns);
    const scale = Math.min((width / columns - GAP_PX) / CARD_PX.width, (height / lines - GAP_PX) / cardHeight, LARGEST_SCALE);
    if (scale > best.scale) best = { columns, lines, scale, pages: 1 };
  }
  if (best.scale >= LEAST_SCALE || count === 0) return best;
  const columns = Math.max(1, Math.min(MOST_COLUMNS, Math.floor(width / (CARD_PX.width * LEAST_SCALE + GAP_PX))));
  const lines = Math.max(1, Math.floor(height / (cardHeight * LEAST_SCALE + GAP_PX)));
  return { columns, lines, scale: Math.min(LEAST_SCALE, (width / columns - GAP_PX) / CARD_PX.width), pages: Math.ceil(count / (columns * lines)) };
}

export class KioskBoard {
  /** @param {HTMLElement} body @param {() => void} changed */
  constructor(body, changed) {
    this.body = body;
    /** @type {Item[]} */
    this.items = [];
    /** @type {Map<string, HostRow>} */
    this.rows = new Map();
    this._page = 0;
    this._turnedMs = Date.now();
    this._changed = changed;
    globalThis.addEventListener("resize", changed);
  }

  /** @param {Item[]} items */
  set(items) {
    this.items = items.filter((item) => item.kind === "host");
  }

  /** @param {How} how */
  draw(how) {
    const hosts = /** @type {import("./order.js").HostItem[]} */ (this.items);
    const tileLines = hosts.reduce((most, { host }) => Math.max(most, Math.ceil(host.gpus.length / TILES_PER_LINE)), 1);
    const top = this.body.getBoundingClientRect().top + scrollY;
    const plan = planBoard(hosts.length, tileLines, this.body.clientWidth, innerHeight - top - 2 * GAP_PX);
    this._page %= plan.pages;
    const perPage = plan.columns * plan.lines;
    const shown = hosts.slice(this._page * perPage, (this._page + 1) * perPage);
    setStyle(this.body, "--board-columns", String(plan.columns));
    setStyle(this.body, "--scale", plan.scale.toFixed(3));
    setText(byId("kiosk-page"), plan.pages > 1 ? `${this._page + 1} of ${plan.pages}` : "");
    this._pages = plan.pages;
    const keys = new Set(shown.map((item) => item.key));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    shown.forEach((item, index) => {
      const row = this.rows.get(item.key) ?? new HostRow();
      this.rows.set(item.key, row);
      row.draw(item, index + this._page * perPage, how);
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
  }

  /** @param {How} how */
  tick(how) {
    for (const row of this.rows.values()) row.tick(how);
    if (how.nowMs - this._turnedMs < PAGE_MS) return;
    this._turnedMs = how.nowMs;
    if ((this._pages ?? 1) > 1) {
      this._page += 1;
      this._changed();
    }
  }

  /** All are there. */
  scrollTo() {}
}
