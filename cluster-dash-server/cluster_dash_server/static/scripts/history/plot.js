// The one module that knows uPlot: takes columns and looks, draws lines, the bands they were in, and gaps.

import uPlot from "../vendor/uPlot.esm.js";
import { tickLabels } from "./times.js";

/**
 * @typedef {import("./series.js").Columns} Columns
 * @typedef {import("./lines.js").Look} Look
 * @typedef {import("./range.js").Span} Span
 * @typedef {object} Options
 * @property {string} unit
 * @property {(span: Span) => void} zoom  to what was dragged over
 * @property {() => void} back
 * @property {(at: number | null, time: number | null) => void} point  the place in the columns and the time that the cursor is at
 */

const HEIGHT_PX = 210;
const BAND_OPACITY = "2e";
const LEAST_DRAG_PX = 5;
const FEW_POINTS = 60;
/** Up to here each point is marked too: a single one makes no line. */
const POINT_PX = 4;
const SYNC = uPlot.sync("cluster-dash");

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plot {
  /** @type {uPlot | null} */
  #drawn = null;
  #shape = "";
  /** @type {Span} */
  #span = { from: 0, to: 1 };
  /** @type {Span[]} */
  #gaps = [];

  /** @param {HTMLElement} element @param {Options} options */
  constructor(element, options) {
    this.element = element;
    this.options = options;
    new ResizeObserver(() => this.#drawn?.setSize(this.#size())).observe(element);
  }

  get canvas() {
    return this.#drawn?.ctx.canvas ?? null;
  }

  /** Whether the cursor is over it, or over another chart. */
  get isPointed() {
    return (this.#drawn?.cursor.left ?? -1) >= 0;
  }

  /** @param {Columns} columns @param {Look[]} looks @param {Set<string>} hidden @param {Span[]} gaps @param {Span} span */
  show(columns, looks, hidden, gaps, span) {
    this.#span = span;
    this.#gaps = gaps;
    const lines = columns.lines.flatMap(({ line, low, high }) => (low && high ? [line, high, low] : [line]));
    const data = /** @type {uPlot.AlignedData} */ ([columns.times, ...lines]);
    const hasBand = lines.length > looks.length;
    const shape = JSON.stringify([looks, hasBand, columns.times.length <= FEW_POINTS]);
    if (this.#drawn && shape === this.#shape) {
      this.#drawn.setData(data);
    } else {
      this.#drawn?.destroy();
      this.#shape = shape;
      this.#drawn = new uPlot(this.#settings(looks, hasBand, columns.times.length), data, this.element);
    }
    looks.forEach(({ name }, at) => this.toggle(at, !hidden.has(name), hasBand));
  }

  /** @param {number} at @param {boolean} shown @param {boolean} hasBand */
  toggle(at, shown, hasBand) {
    const first = 1 + at * (hasBand ? 3 : 1);
    for (let each = first; each < first + (hasBand ? 3 : 1); each++) {
      if (this.#drawn && this.#drawn.series[each]?.show !== shown) this.#drawn.setSeries(each, { show: shown });
    }
  }

  /** In other colours: the page's have changed. */
  redraw() {
    this.#drawn?.redraw(false, true);
  }

  #size() {
    return { width: Math.max(200, this.element.clientWidth), height: HEIGHT_PX };
  }

  /** @param {Look[]} looks @param {boolean} hasBand @param {number} points @returns {uPlot.Options} */
  #settings(looks, hasBand, points) {
    const { unit } = this.options;
    return {
      ...this.#size(),
      legend: { show: false },
      padding: [10, 14, 0, 0],
      scales: {
        x: { time: true, range: () => [this.#span.from, this.#span.to] },
        y: { range: (_plot, _least, most) => (unit.includes("%") ? [0, 100] : [0, (most || 1) * 1.05]) },
      },
      axes: [
        this.#axis({ size: 42, space: 70, values: (_plot, ticks, _axis, _space, step) => tickLabels(ticks, step) }),
        this.#axis({ size: 52 }),
      ],
      series: [{}, ...looks.flatMap((look) => seriesOf(look, hasBand, points))],
      bands: hasBand ? looks.map((look, at) => ({ series: [3 * at + 2, 3 * at + 3], fill: look.colour + BAND_OPACITY })) : [],
      cursor: this.#cursor(),
      hooks: {
        drawClear: [(plot) => this.#shade(plot)],
        setSelect: [(plot) => this.#select(plot)],
        setCursor: [(plot) => this.#point(plot)],
      },
    };
  }

  /** @param {uPlot.Axis} own @returns {uPlot.Axis} */
  #axis(own) {
    const grid = { stroke: () => colour("--plot-grid"), width: 1 };
    return { stroke: () => colour("--dim"), font: `11px ${getComputedStyle(document.body).fontFamily}`, grid, ticks: { ...grid, size: 4 }, ...own };
  }

  /** All charts of the page follow; a drag is of one alone. @returns {uPlot.Cursor} */
  #cursor() {
    return {
      y: false,
      drag: { x: true, y: false, setScale: false },
      sync: { key: SYNC.key, scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      bind: {
        dblclick: () => () => {
          this.options.back();
          return null;
        },
      },
    };
  }

  /** @param {uPlot} plot */
  #shade(plot) {
    const { left, top, width, height } = plot.bbox;
    plot.ctx.fillStyle = colour("--plot-gap");
    for (const { from, to } of this.#gaps) {
      const start = Math.max(left, plot.valToPos(from, "x", true));
      const end = Math.min(left + width, plot.valToPos(to, "x", true));
      if (end > start) plot.ctx.fillRect(start, top, end - start, height);
    }
  }

  /** @param {uPlot} plot */
  #select(plot) {
    const { left, width } = plot.select;
    if (width < LEAST_DRAG_PX) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    this.options.zoom({ from, to });
  }

  /** @param {uPlot} plot */
  #point(plot) {
    const { idx, left } = plot.cursor;
    const isOver = idx != null && left != null && left >= 0;
    this.options.point(isOver ? idx : null, isOver ? plot.posToVal(left, "x") : null);
  }
}

/** @param {Look} look @param {boolean} hasBand @param {number} points @returns {uPlot.Series[]} */
function seriesOf({ colour: stroke, dash }, hasBand, points) {
  const line = { stroke, dash, width: 1.5, points: { show: points <= FEW_POINTS, size: POINT_PX, fill: stroke } };
  const edge = { points: { show: false } };
  return hasBand ? [line, edge, edge] : [line];
}

/** @param {() => void} redraw */
export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
