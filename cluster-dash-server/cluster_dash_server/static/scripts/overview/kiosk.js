// The hosts on a wall screen: as large as the screen lets all of them be, else page by page. Stands in for list.js.

import { byId, setStyle, setText } from "./dom.js";
import { HostRow } from "./row.js";

/**
 * @typedef {import("./order.js").Item} Item
 * @typedef {import("./row.js").How} How
 * @typedef {{ columns: number, lines: number, scale: number, unitPx: number, starts: number[] }} Plan  `lines` of the grid, of
 *   which a card takes one for its name and one for each line of tiles; `starts` is the first host of each page
 */

const CARD_PX = { width: 500, height: 90, line: 49 }; // at scale 1: 8 GPUs side by side below the name
const GAP_PX = 8;
const LEAST_SCALE = 0.8;
const LARGEST_SCALE = 2.2;
const MOST_COLUMNS = 6;
const PAGE_MS = 12_000;
const TILES_PER_LINE = 8;

/** How many columns make the cards largest; where even those are too small, which page has which. @param {number[]} tileLines of each host @param {number} width @param {number} height @returns {Plan} */
export function planBoard(tileLines, width, height) {
  const kinds = [...new Set(tileLines)];
  const widest = (/** @type {number} */ columns) => Math.min((width / columns - GAP_PX) / CARD_PX.width, LARGEST_SCALE);
  const unitPx = (/** @type {number} */ scale) => Math.max(0, ...kinds.map((each) => (cardPx(each) * scale + GAP_PX) / (each + 1)));
  const highest = (/** @type {number} */ lines) => Math.min(...kinds.map((each) => ((height / lines) * (each + 1) - GAP_PX) / cardPx(each)));
  const mostLines = Math.max(1, Math.floor(height / unitPx(LEAST_SCALE)) || 1);
  const total = tileLines.reduce((sum, each) => sum + each + 1, 0);
  /** @type {Plan} */
  let best = { columns: 1, lines: 1, scale: 0, unitPx: 0, starts: [0] };
  for (let columns = 1; columns <= MOST_COLUMNS; columns += 1) {
    let lines = Math.max(Math.ceil(total / columns), ...kinds.map((each) => each + 1));
    while (lines <= mostLines && turnPages(tileLines, columns, lines).length > 1) lines += 1;
    if (lines > mostLines) continue;
    const scale = Math.min(widest(columns), highest(lines));
    if (scale > best.scale) best = { columns, lines, scale, unitPx: unitPx(scale), starts: [0] };
  }
  if (best.scale >= LEAST_SCALE || total === 0) return best;
  const columns = Math.max(1, Math.min(MOST_COLUMNS, Math.floor(width / (CARD_PX.width * LEAST_SCALE + GAP_PX))));
  const scale = Math.min(LEAST_SCALE, widest(columns));
  return { columns, lines: mostLines, scale, unitPx: unitPx(scale), starts: turnPages(tileLines, columns, mostLines) };
}

/** @param {number} tileLines */
function cardPx(tileLines) {
  return CARD_PX.height + (tileLines - 1) * CARD_PX.line;
}

/** The first host of each page, where each goes to the first place that it fits into, as in a dense grid. What is higher than a page fills one column. @param {number[]} tileLines @param {number} columns @param {number} lines */
function turnPages(tileLines, columns, lines) {
  const starts = [0];
  let taken = new Uint8Array(columns * lines);
  tileLines.forEach((each, host) => {
    const high = Math.min(each + 1, lines);
    if (place(taken, columns, lines, high)) return;
    starts.push(host);
    taken = new Uint8Array(columns * lines);
    place(taken, columns, lines, high);
  });
  return starts;
}

/** Takes the first free place, line by line. @param {Uint8Array} taken @param {number} columns @param {number} lines @param {number} high @returns {boolean} whether there is one */
function place(taken, columns, lines, high) {
  for (let first = 0; first < columns * (lines - high + 1); first += 1) {
    const cells = Array.from({ length: high }, (_, line) => first + line * columns);
    if (cells.some((cell) => taken[cell])) continue;
    for (const cell of cells) taken[cell] = 1;
    return true;
  }
  return false;
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
    this._pages = 1;
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
    const tileLines = hosts.map(({ host }) => Math.max(1, Math.ceil(host.gpus.length / TILES_PER_LINE)));
    const top = this.body.getBoundingClientRect().top + scrollY;
    const plan = planBoard(tileLines, this.body.clientWidth, innerHeight - top - 2 * GAP_PX);
    this._pages = plan.starts.length;
    this._page %= this._pages;
    const first = plan.starts[this._page] ?? 0;
    const shown = hosts.slice(first, plan.starts[this._page + 1]);
    setStyle(this.body, "--board-columns", String(plan.columns));
    setStyle(this.body, "--scale", plan.scale.toFixed(3));
    setStyle(this.body, "--unit", `${plan.unitPx.toFixed(2)}px`);
    setText(byId("kiosk-page"), this._pages > 1 ? `${this._page + 1} of ${this._pages}` : "");
    const keys = new Set(shown.map((item) => item.key));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
    shown.forEach((item, index) => {
      const row = this.rows.get(item.key) ?? new HostRow();
      this.rows.set(item.key, row);
      row.draw(item, first + index, how);
      setStyle(row.element, "--lines", String(Math.min((tileLines[first + index] ?? 1) + 1, plan.lines)));
      if (this.body.children[index] !== row.element) this.body.insertBefore(row.element, this.body.children[index] ?? null);
    });
  }

  /** @param {How} how */
  tick(how) {
    for (const row of this.rows.values()) row.tick(how);
    if (how.nowMs - this._turnedMs < PAGE_MS) return;
    this._turnedMs = how.nowMs;
    if (this._pages > 1) {
      this._page += 1;
      this._changed();
    }
  }

  /** All are there. */
  scrollTo() {}
}
