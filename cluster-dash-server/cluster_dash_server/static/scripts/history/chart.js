// One chart of the page: asks the store for its series, draws them, and has a legend, a menu and a word on what it lacks.

import { make, setStyle, setText } from "../overview/dom.js";
import { duration, number } from "../overview/wording.js";
import { Away, ask, serverNow } from "./ask.js";
import { causeOf, gapsOf } from "./gaps.js";
import { MOST_LINES, inOrder, looksOf } from "./lines.js";
import { Plot } from "./plot.js";
import { download, pictureOf } from "./save.js";
import { appended, columnsOf, longestStep, near, newest, timesOf } from "./series.js";
import { moment } from "./times.js";

/**
 * @typedef {import("./series.js").Answer} Answer
 * @typedef {import("./series.js").Columns} Columns
 * @typedef {import("./lines.js").Look} Look
 * @typedef {import("./range.js").Span} Span
 * @typedef {import("./gaps.js").Event} Event
 * @typedef {{ title: string, unit: string, metrics: Record<string, string>, scale: number, limits: Record<string, [number, number]> }} Spec
 * @typedef {object} Around  what the page gives each of its charts
 * @property {string} host
 * @property {(span: Span) => void} zoom
 * @property {() => void} back
 * @property {<T>(step: () => Promise<T>) => Promise<T>} inTurn
 */

const MOST_POINTS = 2000;
const FEWEST_POINTS = 100;
const NEARBY = 2;
const RECENT_S = 30;

export class Chart {
  /** @type {Answer | null} */
  answer = null;
  /** @type {Event[]} */
  events = [];
  /** @type {Span} */
  span = { from: 0, to: 1 };
  isVisible = false;
  isLoading = false;
  /** @type {Set<string>} */
  #hidden = new Set();
  /** @type {Look[]} */
  #looks = [];
  /** @type {Columns} */
  #columns = { times: [], lines: [], stepS: 0 };
  /** @type {Span[]} */
  #gaps = [];
  /** @type {AbortController | null} */
  #asking = null;

  /** @param {Spec} spec @param {Around} around */
  constructor(spec, around) {
    this.spec = spec;
    this.around = around;
    this.title = make("b", "", `${spec.title} `, make("small", "", spec.unit));
    this.when = make("span", "when");
    this.told = make("p", "told");
    this.plotted = make("div", "plotted");
    this.plotted.setAttribute("role", "img");
    this.plotted.setAttribute("aria-label", spec.title);
    this.legend = make("ul", "legend");
    this.csv = make("a", "", "CSV: the values as shown");
    this.csv.download = `${around.host} ${spec.title}.csv`;
    this.menu = this.#menu();
    const caption = make("figcaption", "", this.title, this.when, this.menu);
    this.element = make("figure", "card chart", caption, make("div", "plot-place", this.plotted, this.told), this.legend);
    this.plot = new Plot(this.plotted, { unit: spec.unit, zoom: around.zoom, back: around.back, point: (at, time) => this.#point(at, time) });
  }

  /** As many points as are to be seen. */
  get points() {
    return Math.min(MOST_POINTS, Math.max(FEWEST_POINTS, Math.round(this.plotted.clientWidth)));
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
    this.#looks = looksOf(series, this.spec.metrics);
    this.#columns = columnsOf(answer, this.spec);
    const more = ordered.length > series.length ? `: ${series.length} of ${ordered.length}` : "";
    this.title.replaceChildren(`${this.spec.title}${more} `, make("small", "", this.spec.unit));
    this.#gaps = this.#gapsOf(answer, span);
    this.csv.href = this.#address(span, { format: "csv" });
    this.#tell("");
    if (series.length === 0) return;
    this.plot.show(this.#columns, this.#looks, this.#hidden, this.#gaps, span);
    if (!this.plot.isPointed) this.#showLegend(this.#now);
    this.plotted.setAttribute("aria-label", `${this.spec.title} in ${this.spec.unit}, ${this.#looks.length} lines, ${moment(span.from)} to ${moment(span.to)}`);
  }

  /** @param {Answer} answer @param {Span} span @returns {Span[]} */
  #gapsOf(answer, span) {
    const { bucket_s: bucketS } = answer;
    const gaps = gapsOf(timesOf(answer), longestStep(this.#columns.stepS, bucketS), span.to);
    return gaps.map(({ from, to }) => ({ from: from + bucketS, to }));
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
    const menu = make("details", "menu", label, make("ul", "", make("li", "", picture), make("li", "", this.csv)));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      label.focus();
      event.stopPropagation();
    });
    menu.addEventListener("focusout", (event) => {
      if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) menu.open = false;
    });
    return menu;
  }

  async #savePicture() {
    const { canvas } = this.plot;
    if (!canvas) return;
    const { host } = this.around;
    const shown = this.#looks.filter(({ name }) => !this.#hidden.has(name));
    const title = `${host}: ${this.spec.title} in ${this.spec.unit}, ${moment(this.span.from)} to ${moment(this.span.to)}`;
    const blob = await pictureOf(canvas, title, shown);
    if (blob) download(blob, `${host} ${this.spec.title}.png`);
    this.menu.open = false;
  }

  /** @param {number | null} at place in the columns @param {number | null} time */
  #point(at, time) {
    const gap = time === null ? undefined : this.#gaps.find(({ from, to }) => time > from && time < to);
    const why = gap ? ` ${causeOf(gap, this.events, this.#columns.stepS * 2)}, ${duration(gap.to - gap.from)}` : "";
    setText(this.when, time === null ? "" : `${moment(time)}${why}`);
    this.#showLegend(gap ? null : (at ?? this.#now));
  }

  /** Names, and the values at a place of the columns. @param {number | null} at */
  #showLegend(at) {
    const looks = this.#looks;
    this.legend.classList.toggle("banded", Boolean(this.#columns.lines[0]?.low));
    while (this.legend.childElementCount > looks.length) this.legend.lastElementChild?.remove();
    while (this.legend.childElementCount < looks.length) this.legend.append(this.#entry());
    looks.forEach((look, place) => {
      const button = /** @type {HTMLButtonElement} */ (this.legend.children[place]?.firstElementChild);
      const [swatch, name, value] = /** @type {[HTMLElement, HTMLElement, HTMLElement]} */ ([...button.children]);
      setStyle(swatch, "background", look.dash.length > 0 ? `repeating-linear-gradient(90deg, ${look.colour} 0 4px, transparent 4px 7px)` : look.colour);
      setText(name, look.name);
      setText(value, at === null ? "" : this.#valueAt(place, at));
      button.setAttribute("aria-pressed", String(!this.#hidden.has(look.name)));
      button.title = look.name;
    });
  }

  /** With the smallest and largest where points are put together. @param {number} place @param {number} at */
  #valueAt(place, at) {
    const { line = [], low, high } = this.#columns.lines[place] ?? {};
    const [value, least, most] = [line, low, high].map((column) => (column ? near(column, at, NEARBY) : null));
    const band = least != null && most != null && number(least) !== number(most) ? ` (${number(least)} to ${number(most)})` : "";
    return `${number(value)}${band}`;
  }

  /** The place of what is so now; null in a range that ended before, and where nothing came lately. */
  get #now() {
    const isNow = serverNow() - this.span.to < RECENT_S && !this.#gaps.some(({ to }) => to >= this.span.to);
    return isNow && this.#columns.times.length > 0 ? this.#columns.times.length - 1 : null;
  }

  #entry() {
    const button = make("button", "", make("i"), make("span"), make("b"));
    button.type = "button";
    button.addEventListener("click", (event) => this.#pick(button.title, event.shiftKey || event.altKey));
    return make("li", "", button);
  }

  /** Hides a line or shows it again; `alone` hides all others. @param {string} name @param {boolean} alone */
  #pick(name, alone) {
    const others = this.#looks.map((look) => look.name).filter((each) => each !== name);
    if (alone) {
      const isAlone = !this.#hidden.has(name) && others.every((each) => this.#hidden.has(each));
      this.#hidden = new Set(isAlone ? [] : others);
    } else if (!this.#hidden.delete(name)) this.#hidden.add(name);
    this.plot.show(this.#columns, this.#looks, this.#hidden, this.#gaps, this.span);
    this.#showLegend(this.#now);
  }
}
