// The charts of a host's page: one range of time for all, in the address; loaded as they come into view.

import { every } from "../freshness.js";
import { byId, make, setText } from "../overview/dom.js";
import { onThemeChange } from "../theme.js";
import { Away, ask, inTurn, serverNow } from "./ask.js";
import { Chart } from "./chart.js";
import { knownOf, lacking, lifeOf, touches } from "./known.js";
import { closing } from "./menu.js";
import { PRESETS, USUAL, beside, boundsOf, closer, rangeOf, searchOf, spanOf, wider } from "./range.js";
import { day, spanned } from "./times.js";

/**
 * @typedef {import("./chart.js").Spec} Spec
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./range.js").Span} Span
 */

const AT_ONCE = 2;
const AHEAD_PX = 300;
const EVENTS_EVERY_S = 60;
const LEARN_EVERY_S = 60;
const HOUR_S = 3600;

/** @type {{ host: string, charts: Spec[] }} */
const given = JSON.parse(byId("charts-json").textContent ?? "");
const container = byId("charts");
const presets = byId("presets");
const state = byId("charts-state");
const shownSpan = byId("shown-span");
const backButton = byId("zoom-back");
const laterButton = /** @type {HTMLButtonElement} */ (byId("later"));

let range = rangeOf(location.search);
let span = boundsOf(range, serverNow());
/** Of the charts that are drawn for the range as it is. @type {Set<Chart>} */
let loaded = new Set();
let eventsUpTo = 0;
/** What the host ever sent, and when that was asked. @type {import("./known.js").Known} */
let known = new Map();
let knownAt = -Infinity;
/** When its first point is from. @type {Promise<number | null> | undefined} */
let beginning;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;

const turns = inTurn(AT_ONCE);
const around = {
  host: given.host,
  zoom: (/** @type {Span} */ { from, to }) => go(spanOf(from, to)),
  closer: (/** @type {number} */ at) => go(closer(span, at)),
  wider: () => go(wider(range, serverNow())),
  back,
  inTurn: turns,
};
const charts = given.charts.map((spec) => new Chart(spec, around));
container.append(...charts.map(({ element }) => element));

/** To a range that somebody chose. @param {Range} chosen */
function go(chosen) {
  history.pushState({ depth: (history.state?.depth ?? 0) + 1 }, "", searchOf(chosen) + location.hash);
  show(chosen);
}

/** To the range before; from a link that somebody sent, to the usual one. */
function back() {
  if (history.state?.depth > 0) history.back();
  else if (!("preset" in range)) go({ preset: USUAL });
}

/** @param {Range} chosen */
function show(chosen) {
  range = chosen;
  span = boundsOf(range, serverNow());
  loaded = new Set();
  clearTimeout(again);
  showControls();
  for (const chart of charts) {
    if (chart.answer) chart.show(span); // what is there already, at once
    chart.element.hidden = !mayHave(chart);
  }
  loadVisible();
  loadEvents();
  tell();
}

/** Whether there may be points of it in the range. @param {Chart} chart */
function mayHave({ spec }) {
  const life = lifeOf(known, spec);
  return life !== null && touches(life, span, knownAt);
}

/** What the host ever sent: a chart of anything else is never shown. */
async function learn() {
  const asked = new URLSearchParams({ host: given.host });
  for (const { spec } of charts) for (const metric of Object.keys(spec.metrics)) asked.append("metric", metric);
  known = knownOf(await ask(`/api/metrics?${asked}`));
  knownAt = serverNow();
  for (const chart of charts) {
    chart.oldest = lifeOf(known, chart.spec)?.from;
    if (!loaded.has(chart)) chart.element.hidden = !mayHave(chart);
  }
}

async function begin() {
  try {
    await learn();
    show(range);
  } catch (error) {
    if (!(error instanceof Away)) throw error;
    sayAway(error, begin);
  }
}

function showControls() {
  const name = "preset" in range ? range.preset : "";
  for (const link of presets.children) {
    if (link.getAttribute("data-range") === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  setText(shownSpan, spanned(span));
  shownSpan.classList.toggle("on-paper", "preset" in range);
  backButton.hidden = "preset" in range;
  laterButton.disabled = span.to >= serverNow() - 1;
}

function loadVisible() {
  for (const chart of charts) if (chart.isVisible && !loaded.has(chart) && mayHave(chart)) load(chart);
}

/** @param {Chart} chart */
async function load(chart) {
  loaded.add(chart);
  try {
    if (await chart.load(span)) tell();
  } catch (error) {
    if (error instanceof Away) failed(chart, error);
    else if (!(error instanceof DOMException)) throw error;
  }
}

/** @param {Chart} chart @param {Away} error */
function failed(chart, error) {
  loaded.delete(chart);
  chart.fail(error);
  sayAway(error, loadVisible);
}

/** @param {Away} error @param {() => void} retry */
function sayAway(error, retry) {
  container.classList.add("lost");
  setText(state, `No news for the charts: ${error.message}. Asked again in ${error.retryAfterS} s.`);
  clearTimeout(again);
  again = setTimeout(retry, error.retryAfterS * 1000);
}

/** Which charts have nothing in the range, and since when there is something. */
async function tell() {
  container.classList.remove("lost");
  const alive = charts.filter(({ spec }) => lifeOf(known, spec));
  if (alive.length === 0) return setText(state, knownAt > 0 ? "No points yet: its history begins with its next post." : "loading …");
  const empty = alive.filter((chart) => (loaded.has(chart) ? chart.isEmpty && !chart.isLoading : !mayHave(chart)));
  const asked = span;
  const first = reachesBack() ? await firstTime() : null;
  if (asked.from !== span.from) return;
  if (first !== null) mark(first);
  if (empty.length === alive.length) return setText(state, `No points in this range${elsewhere(first)}.`);
  const begins = first === null || first < span.from ? "" : `Its history begins on ${day(first)}.`;
  setText(state, `${lacking(known, empty.map(({ spec }) => spec), span)} ${begins}`.trim());
}

/** @param {number | null} first */
function elsewhere(first) {
  const newest = Math.max(...[...known.values()].map(({ to }) => to));
  if (newest < span.from) return `; the last is from ${day(newest)}`;
  return first !== null && first >= span.to ? `; the first is from ${day(first)}` : "";
}

const oldest = () => Math.min(...[...known.values()].map(({ from }) => from));
const reachesBack = () => span.from < oldest() + HOUR_S;

/** Of the host's points, where that is known to the hour. */
function firstTime() {
  beginning ??= askFirst().catch(() => (beginning = undefined, null));
  return beginning;
}

/** @param {number | null} first */
function mark(first) {
  for (const chart of charts) {
    if (chart.begins === first) continue;
    chart.begins = first;
    chart.again();
  }
}

/** @returns {Promise<number | null>} */
async function askFirst() {
  const from = oldest();
  const asked = new URLSearchParams({ host: given.host, run: "", from: String(from), to: String(from + HOUR_S), points: "1000" });
  for (const [metric, life] of known) if (life.from < from + HOUR_S) asked.append("metric", metric);
  const { series } = await ask(`/api/series?${asked}`);
  return series.length > 0 ? Math.min(...series.map((/** @type {{ time: number[] }} */ { time }) => time[0] ?? Infinity)) : null;
}

async function loadEvents() {
  eventsUpTo = span.to;
  const asked = new URLSearchParams({ host: given.host, from: span.from.toFixed(3), to: (span.to + 600).toFixed(3) });
  const { events } = await ask(`/api/events?${asked}`).catch(() => ({ events: [] }));
  for (const chart of charts) chart.events = events;
}

/** A range that ends now goes on. */
async function follow() {
  if (serverNow() - knownAt > (known.size > 0 ? LEARN_EVERY_S : 0)) await learnMore();
  if (!("preset" in range) || container.classList.contains("lost")) return;
  span = boundsOf(range, serverNow());
  setText(shownSpan, spanned(span));
  if (span.to - eventsUpTo > EVENTS_EVERY_S) loadEvents();
  for (const chart of charts) {
    if (!chart.isVisible || !loaded.has(chart)) continue;
    try {
      await chart.follow(span);
    } catch (error) {
      if (error instanceof Away) return failed(chart, error);
      if (!(error instanceof DOMException)) throw error;
    }
  }
}

async function learnMore() {
  try {
    await learn();
    loadVisible();
    if (known.size === 0 || loaded.size === 0) tell();
  } catch (error) {
    if (!(error instanceof Away)) throw error; // the charts' own questions say so
  }
}

for (const { name, text } of PRESETS) {
  const link = make("a", "", text);
  link.href = searchOf({ preset: name });
  link.dataset.range = name;
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go({ preset: name });
  });
  presets.append(link);
}
backButton.addEventListener("click", back);
byId("earlier").addEventListener("click", () => go(beside(span, -1, serverNow())));
laterButton.addEventListener("click", () => go(beside(span, 1, serverNow())));
byId("wider").addEventListener("click", around.wider);
const hints = /** @type {HTMLDetailsElement} */ (byId("hints"));
closing(hints, /** @type {HTMLElement} */ (hints.firstElementChild));
addEventListener("popstate", () => show(rangeOf(location.search)));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !("preset" in range)) back();
});
addEventListener("beforeprint", () => {
  for (const chart of charts) if (!loaded.has(chart) && mayHave(chart)) load(chart); // on the paper that is printed next
});
onThemeChange(() => charts.forEach(({ plot }) => plot.redraw()));

const inView = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = charts.find(({ element }) => element === target);
    if (chart) chart.isVisible = isIntersecting;
  }
  loadVisible();
}, { rootMargin: `${AHEAD_PX}px` });
for (const { element } of charts) inView.observe(element);
showControls();
begin();
every(follow, () => {}, () => {});
