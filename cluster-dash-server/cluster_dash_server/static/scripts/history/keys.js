// Takes keys on a chart, moves its cursor and chooses a range: what one does without a mouse.

import { setAttribute } from "../overview/dom.js";

/**
 * @typedef {import("./series.js").Columns} Columns
 * @typedef {import("./range.js").Span} Span
 * @typedef {object} Chart
 * @property {() => { columns: Columns, span: Span }} shown
 * @property {(time: number, at: number) => string} readOut  what stands at a place
 * @property {(time: number | null) => void} pointAt
 * @property {(span: Span | null) => void} mark
 * @property {(span: Span) => void} zoom
 * @property {(at: number) => void} closer  around a time
 * @property {() => void} wider
 */

const LEAP = 10;

export class Keys {
  /** The time that the cursor is at, wherever it came from. @type {number | null} */
  time = null;
  /** Where the range begins that is being chosen. @type {number | null} */
  #start = null;

  /** @param {HTMLElement} element @param {Chart} chart */
  constructor(element, chart) {
    this.element = element;
    this.chart = chart;
    element.tabIndex = 0;
    element.setAttribute("role", "slider");
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.#press(event.key, event.shiftKey)) return;
      event.preventDefault();
      event.stopPropagation();
    });
    element.addEventListener("blur", () => {
      this.#setStart(null);
      chart.pointAt(null);
    });
  }

  /** @param {string} label */
  describe(label) {
    const { from, to } = this.chart.shown().span;
    setAttribute(this.element, "aria-label", label);
    setAttribute(this.element, "aria-valuemin", String(Math.floor(from)));
    setAttribute(this.element, "aria-valuemax", String(Math.ceil(to)));
    setAttribute(this.element, "aria-valuenow", String(Math.round(this.time ?? to)));
  }

  /** @param {string} key @param {boolean} isFar @returns {boolean} whether it is a key for this */
  #press(key, isFar) {
    const { time, chart } = this;
    const { from, to } = chart.shown().span;
    if (key === "+" || key === "=") chart.closer(time ?? (from + to) / 2);
    else if (key === "-") chart.wider();
    else if (key === " ") this.#setStart(this.#start === null ? time : null);
    else if (key === "Escape" && this.#start !== null) this.#setStart(null);
    else if (key === "Enter" && this.#start !== null && time !== null) this.#zoom(this.#start, time);
    else return this.#move(key, isFar);
    return true;
  }

  /** @param {string} key @param {boolean} isFar */
  #move(key, isFar) {
    const { columns, span } = this.chart.shown();
    const now = this.time;
    const at = moved(key, isFar, placesOf(columns, span), now === null ? null : columns.times.findIndex((time) => time > now - 0.001));
    const time = at === null ? undefined : columns.times[at];
    if (at === null || time === undefined) return false;
    this.chart.pointAt(time);
    this.time = time;
    if (this.#start !== null) this.chart.mark(inOrder(this.#start, time));
    setAttribute(this.element, "aria-valuenow", String(Math.round(time)));
    setAttribute(this.element, "aria-valuetext", this.chart.readOut(time, at));
    return true;
  }

  /** @param {number} one @param {number} other */
  #zoom(one, other) {
    this.#setStart(null);
    this.chart.zoom(inOrder(one, other));
  }

  /** @param {number | null} time */
  #setStart(time) {
    this.#start = time;
    this.chart.mark(time === null ? null : { from: time, to: time });
  }
}

/** @param {number} one @param {number} other @returns {Span} */
const inOrder = (one, other) => ({ from: Math.min(one, other), to: Math.max(one, other) });

/** The places of columns within a range at which a line has a value. @param {Columns} columns @param {Span} span */
export function placesOf({ times, lines }, { from, to }) {
  const isTold = (/** @type {number} */ at) => lines.some(({ line }) => line[at] != null);
  return times.flatMap((time, at) => (time >= from && time <= to && isTold(at) ? [at] : []));
}

/** Where a key leads to from a place; null: it's no key for that. @param {string} key @param {boolean} isFar @param {number[]} places @param {number | null} at */
export function moved(key, isFar, places, at) {
  const last = places.length - 1;
  const step = isFar ? LEAP : 1;
  const here = at === null ? -1 : places.findIndex((place) => place >= at);
  const now = here < 0 ? last : here;
  const found = { Home: 0, End: last, ArrowLeft: at === null ? last : now - step, ArrowRight: at === null ? last : now + step }[key];
  return found === undefined ? null : (places[Math.max(0, Math.min(last, found))] ?? null);
}
