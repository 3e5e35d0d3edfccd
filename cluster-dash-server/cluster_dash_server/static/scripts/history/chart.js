// One chart of the page: asks the store for its series, draws them, and has a legend, a menu and a word on what it lacks.

import { make, setText } from "../overview/dom.js";
import { counted, duration, number, printable } from "../overview/wording.js";
import { Away, ask, serverNow } from "./ask.js";
import { gapsOf, told } from "./gaps.js";
import { Keys } from "./keys.js";
import { Legend } from "./legend.js";
import { MOST_LINES, inOrder, looksOf } from "./lines.js";
import { menuOf } from "./menu.js";
import { BESIDE_PX, Plot } from "./plot.js";
import { download, pictureOf } from "./save.js";
import { appended, columnsOf, largest, longestStep, near, newest, timesOf } from "./series.js";
import { moment } from "./times.js";
import { fitted } from "./units.js";

/**
 * @typedef {import("./series.js").Answer} Answer
 * @typedef {import("./series.js").Columns} Columns
 * @typedef {import("./lines.js").Look} Look
 * @typedef {import("./range.js").Span} Span
 * @typedef {import("./gaps.js").Event} Event
 * @typedef {{ title: string, unit: string, metrics: Record<string, string>, words: Record<string, string>, scale: number, limits: Record<string, [number, number]> }} Spec
 * @typedef {object} Around  what the page gives each of its charts
 * @property {string} host
 * @property {(span: Span) => void} zoom
 * @property {(at: number) => void} closer  around a time
 * @property {() => void} wider
 * @property {() => void} back
 * @property {<T>(step: () => Promise<T>) => Promise<T>} inTurn
 */

const MOST_POINTS = 2000;
const FEWEST_POINTS = 100;
const NEARBY = 2;
const RECENT_S = 30;
const HOUR_S = 3600;
const MOST_READ_OUT = 12;

export class Chart {
  /** @type {Answer | null} */
  answer = null;
  /** Of all points of its metrics, to the hour. @type {number | undefined} */
  oldest;
  /** Of all points of the host. @type {number | null} */
  begins = null;
  /** @type {Span} */
  span = { from: 0, to: 1 };
  /** For which there is an answer: outside of it nothing is known. @type {Span} */
  #answered = { from: 0, to: 0 };
  isVisible = false;
  isLoading = false;
  /** @type {Look[]} */
  #looks = [];
  /** @type {Columns} */
  #columns = { times: [], lines: [], stepS: 0 };
  /** @type {import("./gaps.js").Told[]} */
  #gaps = [];
  /** @type {Event[]} */
  #events = [];
  /** The place in the columns that the cursor is at, and no gap. @type {number | null} */
  #pointed = null;
  /** @type {number | null} */
  #line = null;
  #unit = "";
  /** @type {AbortController | null} */
  #asking = null;

  /** @param {Spec} spec @param {Around} around */
  constructor(spec, around) {
    this.spec = spec;
    this.around = around;
    this.title = make("b", "", `${spec.title} `, make("small", "", spec.unit));
    this.when = make("span", "");
    this.nearest = make("b", "");
    this.told = make("p", "told");
    this.plotted = make("div", "plotted");
    this.legend = new Legend({
      changed: () => {
        this.#draw();
        this.#showLegend(this.#now);
      },
      stress: (line) => this.plot.stress(line),
    });
    this.csv = make("a", "", "CSV: the values as shown");
    this.csv.download = `${around.host} ${spec.title}.csv`;
    this.menu = this.#menu();
    this.#unit = spec.unit;
    const caption = make("figcaption", "", this.title, make("span", "when", this.nearest, this.when), this.menu);
    this.element = make("figure", "card chart", caption, make("div", "plot-place", this.plotted, this.told), this.legend.element);
    this.plot = new Plot(this.plotted, {
      zoom: around.zoom,
      back: around.back,
      point: (at, time) => this.#point(at, time),
      near: (line) => this.#near(line),
    });
    this.keys = new Keys(this.plotted, {
      ...around,
      shown: () => ({ columns: this.#columns, span: this.span }),
      readOut: (time, at) => this.#readOut(time, at),
      pointAt: (time) => this.plot.pointAt(time),
      mark: (span) => this.plot.mark(span),
    });
    this.keys.describe(spec.title);
  }

  /** What started, which says why there are gaps. @param {Event[]} events */
  set events(events) {
    this.#events = events;
    this.again();
  }

  again() {
    if (this.answer && this.answer.series.length > 0) this.show(this.span);
  }

  /** As many as there are pixels for: of narrower buckets some have none, and the cursor never gets to them. */
  get points() {
    return Math.min(MOST_POINTS, Math.max(FEWEST_POINTS, Math.round(this.plotted.clientWidth - BESIDE_PX)));
  }

  get isEmpty() {
    return this.answer !== null && this.answer.series.length === 0;
  }

  /** @param {Span} span @param {Record<string, string>} [more] */
  #address({ from, to }, more = {}) {
    const asked = new URLSearchParams({ host: this.around.host, run: "", from: from.toFixed(3), to: to.toFixed(3), points: String(this.points), ...more });
    for (const metric of Object.keys(this.spec.metrics)) asked.append("metric", metric);
    return `/api/series?${asked}`;
  }

  /** Anew from the store; a question that is still open is given up. @param {Span} span @returns {Promise<boolean>} whether it is shown */
  async load(span) {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.isLoading = true;
    this.#tell(this.answer ? "" : "loading …");
    this.element.classList.add("loading");
    try {
      const answer = /** @type {Answer} */ (await this.around.inTurn(() => ask(this.#address(span), asking.signal)));
      if (asking.signal.aborted) return false;
      this.answer = answer;
      this.#answered = span;
      this.show(span);
      return true;
    } finally {
      if (asking === this.#asking) {
        this.isLoading = false;
        this.element.classList.remove("loading");
      }
    }
  }

  /** What came since, where points are shown one by one; else anew once a bucket is full. @param {Span} span */
  async follow(span) {
    if (this.isLoading || !this.answer) return;
    const { bucket_s: bucketS } = this.answer;
    const last = newest(this.answer);
    if (bucketS > 0 || last === -Infinity) {
      if (span.to - this.span.to >= bucketS) await this.load(span);
      return;
    }
    const asking = (this.#asking = new AbortController());
    const news = /** @type {Answer} */ (await ask(this.#address({ from: last + 0.001, to: Math.max(span.to, last + 1) }), asking.signal));
    if (asking.signal.aborted) return;
    const added = Math.max(0, ...news.series.map(({ time }) => time.length));
    const most = Math.max(0, ...this.answer.series.map(({ time }) => time.length));
    if (news.bucket_s > 0 || most + added > MOST_POINTS) await this.load(span);
    else {
      this.answer = appended(this.answer, news, span.from);
      this.#answered = { from: Math.min(this.#answered.from, span.from), to: span.to };
      this.show(span);
    }
  }

  /** @param {Span} span */
  show(span) {
    this.span = span;
    if (!this.answer) return;
    const ordered = inOrder(this.answer.series, Object.keys(this.spec.metrics));
    const series = ordered.slice(0, MOST_LINES);
    const answer = { ...this.answer, series };
    this.element.hidden = series.length === 0;
    this.#looks = looksOf(series, this.spec.metrics, this.spec.words);
    const { unit, scale } = fitted(this.spec, largest(series));
    this.#unit = unit;
    this.#columns = columnsOf(answer, { scale, limits: this.spec.limits });
    const more = ordered.length > series.length ? `: ${series.length} of ${ordered.length}` : "";
    this.title.replaceChildren(`${this.spec.title}${more} `, make("small", "", unit));
    this.#gaps = this.#gapsOf(answer, span);
    this.csv.href = this.#address(span, { format: "csv" });
    this.#tell("");
    if (series.length === 0) return;
    this.#draw();
    this.element.classList.add("drawn");
    if (!this.plot.isPointed) this.#showLegend(this.#now);
    this.keys.describe(`${this.spec.title} in ${unit}, ${counted(series.length, "line")}, ${moment(span.from)} to ${moment(span.to)}`);
  }

  #draw() {
    this.plot.show({ unit: this.#unit, columns: this.#columns, looks: this.#looks, hidden: this.legend.hidden, gaps: this.#gaps, span: this.span });
  }

  /** Its first point of all, to the hour; exactly where it is the host's first too. */
  get #begins() {
    const { oldest = NaN, begins } = this;
    return begins !== null && begins >= oldest && begins < oldest + HOUR_S ? begins : oldest;
  }

  /** @param {Answer} answer @param {Span} span */
  #gapsOf(answer, span) {
    const { bucket_s: bucketS } = answer;
    const known = { from: Math.max(span.from, this.#answered.from), to: Math.min(span.to, this.#answered.to) };
    const times = timesOf(answer).filter((time) => time + bucketS > known.from && time <= known.to);
    const gaps = gapsOf(times, longestStep(this.#columns.stepS, bucketS), bucketS, known);
    const [first] = gaps;
    const begins = this.#begins;
    if (first && begins > first.to && begins < first.to + bucketS) first.to = begins; // within that bucket
    return told(gaps, known, this.oldest, this.#events, this.#columns.stepS * 2);
  }

  /** @param {unknown} error */
  fail(error) {
    if (error instanceof Away) this.#tell(this.answer ? "" : error.message);
  }

  /** @param {string} text */
  #tell(text) {
    setText(this.told, text);
  }

  #menu() {
    const picture = make("button", "plain", "PNG: a picture of it");
    picture.type = "button";
    picture.addEventListener("click", () => this.#savePicture());
    const label = make("summary", "", "⋯");
    label.setAttribute("aria-label", `Menu of ${this.spec.title}`);
    return menuOf(label, picture, this.csv);
  }

  async #savePicture() {
    const { canvas } = this.plot;
    if (!canvas) return;
    const { host } = this.around;
    const shown = this.#looks.filter(({ name }) => !this.legend.hidden.has(name));
    const when = `${moment(this.span.from)} to ${moment(this.span.to)}, ${host}`;
    const blob = await pictureOf(canvas, `${this.spec.title} in ${this.#unit}`, printable(when), shown);
    if (blob) download(blob, `${host} ${this.spec.title}.png`);
    this.menu.open = false;
  }

  /** @param {number | null} at place in the columns @param {number | null} time */
  #point(at, time) {
    this.keys.time = time;
    const gap = time === null ? undefined : this.#gaps.find(({ from, to }) => time > from && time < to);
    this.#pointed = gap ? null : at;
    const why = gap ? `, ${gap.why}${gap.isBeginning ? "" : `, ${duration(gap.to - gap.from)}`}` : "";
    setText(this.when, time === null ? "" : `${moment(time)}${why}`);
    this.#showLegend(gap ? null : (at ?? this.#now));
    this.#tellNearest();
  }

  /** @param {number | null} line that the mouse or the focus is at */
  #near(line) {
    this.#line = line;
    this.legend.stress(line);
    this.#tellNearest();
  }

  /** Of many lines its name may be out of sight in the legend. */
  #tellNearest() {
    const look = this.#looks[this.#line ?? -1];
    setText(this.nearest, look && this.#pointed !== null ? `${look.name} ${this.#valueAt(this.#line ?? 0, this.#pointed)}` : "");
  }

  /** @param {number} time @param {number} at */
  #readOut(time, at) {
    const values = this.#looks.slice(0, MOST_READ_OUT).map(({ name }, place) => `${name} ${this.#valueAt(place, at)}`);
    return `${moment(time)}: ${values.join(", ")}`;
  }

  /** Names, and the values at a place of the columns. @param {number | null} at */
  #showLegend(at) {
    const values = at === null ? [] : this.#looks.map((_, place) => this.#valueAt(place, at));
    this.legend.show(this.#looks, values, Boolean(this.#columns.lines[0]?.low));
  }

  /** With the smallest and largest where points are put together. @param {number} place @param {number} at */
  #valueAt(place, at) {
    const { line = [], low, high } = this.#columns.lines[place] ?? {};
    const [value, least, most] = [line, low, high].map((column) => (column ? near(column, at, NEARBY) : null));
    const band = least != null && most != null && number(least) !== number(most) ? ` (${number(least)}–${number(most)})` : "";
    return `${number(value)}${band}`;
  }

  /** The place of what is so now; null in a range that ended before, and where nothing came lately. */
  get #now() {
    const end = Math.min(this.span.to, this.#answered.to);
    const isNow = serverNow() - end < RECENT_S && !this.#gaps.some(({ to }) => to >= end);
    return isNow && this.#columns.times.length > 0 ? this.#columns.times.length - 1 : null;
  }
}
