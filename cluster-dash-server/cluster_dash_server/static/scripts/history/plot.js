// The one module that knows uPlot: takes columns and looks, draws lines, the bands they were in, and gaps.

import uPlot from "../vendor/uPlot.esm.js";
import { byFinger } from "./finger.js";
import { lonely } from "./series.js";
import { tickLabels } from "./times.js";
import { topOf } from "./units.js";
import { wrapped } from "./words.js";

/**
 * @typedef {import("./series.js").Columns} Columns
 * @typedef {import("./lines.js").Look} Look
 * @typedef {import("./range.js").Span} Span
 * @typedef {object} Options
 * @property {(span: Span) => void} zoom  to what was dragged over
 * @property {() => void} back
 * @property {(at: number | null, time: number | null) => void} point  the place in the columns and the time that the cursor is at
 * @property {(line: number | null) => void} near  the line that the mouse is at
 *
 * @typedef {object} Shown
 * @property {string} unit
 * @property {Columns} columns
 * @property {Look[]} looks
 * @property {Set<string>} hidden
 * @property {import("./gaps.js").Told[]} gaps
 * @property {Span} span
 */

const HEIGHT_PX = 210;
const AXIS_PX = 52;
const RIGHT_PX = 18;
/** Of a plot's width, where no point is. */
export const BESIDE_PX = AXIS_PX + RIGHT_PX;
const BAND_OPACITY = 0.18; // of one or two lines together
const LEAST_DRAG_PX = 5;
const PX_A_MARK = 10;
/** With so much room each point is marked too; one between gaps is always, as it makes no line. */
const POINT_PX = 4;
const MANY_LINES = 20;
const NEAR_PX = 14;
const PALE = 0.25;
const WORDS_PX = 11;
const LINE_HEIGHT = 1.4;
const SYNC = uPlot.sync("cluster-dash");

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plot {
  /** @type {uPlot | null} */
  #drawn = null;
  #shape = "";
  /** @type {Shown | null} */
  #shown = null;
  #lineSeries = 1;
  #isMarked = false;
  /** @type {number | null} */
  #stressed = null;

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

  /** @param {Shown} shown */
  show(shown) {
    this.#shown = shown;
    const { columns, looks, hidden } = shown;
    const lines = columns.lines.flatMap(({ line, low, high }) => (low && high ? [line, high, low] : [line]));
    const data = /** @type {uPlot.AlignedData} */ ([columns.times, ...lines]);
    this.#lineSeries = lines.length > looks.length ? 3 : 1;
    this.#isMarked = (columns.stepS / (shown.span.to - shown.span.from)) * this.element.clientWidth >= PX_A_MARK;
    const shape = JSON.stringify([looks, this.#lineSeries, this.#isMarked]);
    if (this.#drawn && shape === this.#shape) {
      this.#drawn.setData(data);
    } else {
      this.#drawn?.destroy();
      this.#shape = shape;
      this.#drawn = new uPlot(this.#settings(looks), data, this.element);
      byFinger(this.#drawn, { point: (left, top) => this.#pointTo(left, top), select: (left, width) => this.#zoom(left, width) });
    }
    looks.forEach(({ name }, at) => this.#toggle(at, !hidden.has(name)));
  }

  /** No line is near. @param {number | null} time null: nowhere */
  pointAt(time) {
    const plot = this.#drawn;
    if (!plot) return;
    const away = -2 * NEAR_PX;
    this.#pointTo(time === null ? away : plot.valToPos(time, "x"), time === null ? away : plot.over.clientHeight - away);
  }

  /** The cursor of all charts. @param {number} left @param {number} top */
  #pointTo(left, top) {
    const plot = this.#drawn;
    // Its types lack the third: whether the others follow.
    const setCursor = /** @type {((place: uPlot.Cursor, isTold: boolean, isShared: boolean) => void) | undefined} */ (plot?.setCursor);
    setCursor?.(/** @type {uPlot.Cursor} */ ({ left, top }), true, true);
  }

  /** What is chosen by keys; null: nothing. @param {Span | null} span */
  mark(span) {
    const plot = this.#drawn;
    if (!plot) return;
    const [left, right] = span ? [plot.valToPos(span.from, "x"), plot.valToPos(span.to, "x")] : [0, 0];
    plot.setSelect({ left, top: 0, width: right - left, height: span ? plot.over.clientHeight : 0 }, false);
  }

  /** The others are pale. @param {number | null} line */
  stress(line) {
    const series = line === null ? null : 1 + line * this.#lineSeries;
    this.#drawn?.setSeries(/** @type {number} */ (series), { focus: true }); // null is none, which its types lack
  }

  /** @param {number} at @param {boolean} shown */
  #toggle(at, shown) {
    const first = 1 + at * this.#lineSeries;
    for (let each = first; each < first + this.#lineSeries; each++) {
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

  /** @param {Look[]} looks @returns {uPlot.Options} */
  #settings(looks) {
    const hasBand = this.#lineSeries > 1;
    return {
      ...this.#size(),
      legend: { show: false },
      padding: [10, RIGHT_PX, 0, 0],
      scales: {
        x: { time: true, range: () => [this.#shown?.span.from ?? 0, this.#shown?.span.to ?? 1] },
        y: { range: (_plot, least, most) => [Math.min(0, least || 0), topOf(this.#shown?.unit ?? "", most)] },
      },
      axes: [
        this.#axis({ size: 42, space: 70, values: (_plot, ticks, _axis, _space, step) => tickLabels(ticks, step) }),
        this.#axis({ size: AXIS_PX }),
      ],
      series: [{}, ...looks.flatMap((look) => seriesOf(look, hasBand, this.#isMarked, looks.length))],
      bands: hasBand ? looks.map((look, at) => this.#band(look, at, looks.length)) : [],
      cursor: this.#cursor(looks.length),
      focus: { alpha: PALE },
      hooks: {
        drawClear: [(plot) => this.#shade(plot)],
        draw: [(plot) => this.#sayWhy(plot)],
        setSelect: [(plot) => this.#select(plot)],
        setCursor: [(plot) => this.#point(plot)],
        setSeries: [(plot, at, changed) => "focus" in changed && this.#near(plot, at)],
      },
    };
  }

  /** Of many lines each is paler, so that all can be seen, but for the one that stands out. @param {Look} look @param {number} line @param {number} lines @returns {uPlot.Band} */
  #band(look, line, lines) {
    const fill = () => look.colour + opacity(line === this.#stressed ? BAND_OPACITY : BAND_OPACITY * Math.min(1, 2 / lines));
    return { series: [3 * line + 2, 3 * line + 3], fill };
  }

  /** @param {uPlot.Axis} own @returns {uPlot.Axis} */
  #axis(own) {
    const grid = { stroke: () => colour("--plot-grid"), width: 1 };
    return { stroke: () => colour("--dim"), font: `11px ${getComputedStyle(document.body).fontFamily}`, grid, ticks: { ...grid, size: 4 }, ...own };
  }

  /** All charts of the page follow; a drag is of one alone. @param {number} lines @returns {uPlot.Cursor} */
  #cursor(lines) {
    return {
      y: false,
      focus: { prox: lines > 1 ? NEAR_PX : -1, dist: (plot, _series, at, top, pointed) => (isBeside(plot, at) ? top - pointed : Infinity) },
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

  /** What is missing. @param {uPlot} plot */
  #shade(plot) {
    const { top, height } = plot.bbox;
    plot.ctx.fillStyle = colour("--plot-gap");
    for (const [start, end] of this.#gapsOn(plot)) plot.ctx.fillRect(start, top, end - start, height);
  }

  /** Why it is missing, where there is room for it. @param {uPlot} plot */
  #sayWhy(plot) {
    const { ctx, bbox } = plot;
    const size = WORDS_PX * uPlot.pxRatio;
    ctx.save();
    Object.assign(ctx, { font: `${size}px ${getComputedStyle(document.body).fontFamily}`, textAlign: "center", textBaseline: "middle" });
    for (const [start, end, why] of this.#gapsOn(plot)) {
      const lines = wrapped(why, end - start - size, (text) => ctx.measureText(text).width);
      const width = Math.max(0, ...lines.map((line) => ctx.measureText(line).width)) + size;
      const top = bbox.top + (bbox.height - lines.length * size * LINE_HEIGHT) / 2;
      ctx.fillStyle = colour("--plot-gap"); // no line of the grid goes through the words
      if (lines.length > 0) ctx.fillRect((start + end - width) / 2, top - size / 2, width, (lines.length * LINE_HEIGHT + 1) * size);
      ctx.fillStyle = colour("--dim");
      lines.forEach((line, at) => ctx.fillText(line, (start + end) / 2, top + (at + 0.5) * size * LINE_HEIGHT));
    }
    ctx.restore();
  }

  /** In pixels of the canvas. @param {uPlot} plot @returns {[number, number, string][]} */
  #gapsOn(plot) {
    const { left, width } = plot.bbox;
    const gaps = (this.#shown?.gaps ?? []).map(({ from, to, why }) => /** @type {[number, number, string]} */ ([
      Math.max(left, plot.valToPos(from, "x", true)), Math.min(left + width, plot.valToPos(to, "x", true)), why,
    ]));
    return gaps.filter(([start, end]) => end > start);
  }

  /** @param {uPlot} plot */
  #select(plot) {
    const { left, width } = plot.select;
    if (width < LEAST_DRAG_PX) return;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#zoom(left, width);
  }

  /** @param {number} left @param {number} width */
  #zoom(left, width) {
    const plot = this.#drawn;
    if (plot) this.options.zoom({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") });
  }

  /** @param {uPlot} plot */
  #point(plot) {
    const { idx, left } = plot.cursor;
    const isOver = idx != null && left != null && left >= 0;
    this.options.point(isOver ? idx : null, isOver ? plot.posToVal(left, "x") : null);
  }

  /** uPlot pales a line's own band too. @param {uPlot} plot @param {number | null} series */
  #near(plot, series) {
    const line = series === null ? null : Math.floor((series - 1) / this.#lineSeries);
    this.#stressed = line;
    if (line !== null) {
      const first = 1 + line * this.#lineSeries;
      for (const each of plot.series.slice(first, first + this.#lineSeries)) each.alpha = 1;
    }
    this.options.near(line);
  }
}

/** As a colour's last two digits. @param {number} share */
const opacity = (share) => Math.max(5, Math.round(share * 255)).toString(16).padStart(2, "0");

/** Whether the cursor is at a place of the columns, and not in a gap. @param {uPlot} plot @param {number} at */
function isBeside(plot, at) {
  return Math.abs(plot.valToPos(plot.data[0][at] ?? 0, "x") - (plot.cursor.left ?? 0)) <= NEAR_PX;
}

/** @type {uPlot.Series.Points.Filter} */
const filter = (plot, series, isMarked) => (isMarked ? null : lonely(/** @type {import("./series.js").Column} */ (plot.data[series])));

/** @param {Look} look @param {boolean} hasBand @param {boolean} isMarked @param {number} lines @returns {uPlot.Series[]} */
function seriesOf({ colour: stroke, dash }, hasBand, isMarked, lines) {
  const points = { show: isMarked, size: POINT_PX, fill: stroke, filter };
  const line = { stroke, dash, width: lines > MANY_LINES ? 1 : 1.5, points };
  const edge = { points: { show: false } };
  return hasBand ? [line, edge, edge] : [line];
}
