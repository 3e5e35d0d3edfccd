// The charts of a host's page: one range of time for all, in the address; loaded as they come into view.

import { every } from "../freshness.js";
import { byId, make, setText } from "../overview/dom.js";
import { Away, ask, inTurn, serverNow } from "./ask.js";
import { Chart } from "./chart.js";
import { onThemeChange } from "./plot.js";
import { PRESETS, USUAL, beside, boundsOf, rangeOf, searchOf, spanOf } from "./range.js";
import { day, moment } from "./times.js";

/**
 * @typedef {import("./chart.js").Spec} Spec
 * @typedef {import("./range.js").Range} Range
 * @typedef {import("./range.js").Span} Span
 */

const AT_ONCE = 2;
const AHEAD_PX = 300;
const EVENTS_EVERY_S = 60;

/** @type {{ host: string, charts: Spec[] }} */
const given = JSON.parse(byId("charts-json").textContent ?? "");
const container = byId("charts");
const presets = byId("presets");
const state = byId("charts-state");
const shownSpan = byId("shown-span");
const backButton = byId("zoom-back");

let range = rangeOf(location.search);
let span = boundsOf(range, serverNow());
/** Of the charts that are drawn for the range as it is. @type {Set<Chart>} */
let loaded = new Set();
let eventsUpTo = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let again;

const turns = inTurn(AT_ONCE);
const charts = given.charts.map((spec) => new Chart(spec, { host: given.host, zoom: ({ from, to }) => go(spanOf(from, to)), back, inTurn: turns }));
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
    chart.element.hidden = false;
    if (chart.answer) chart.show(span); // what is there already, at once
    chart.element.hidden = false;
  }
  loadVisible();
  loadEvents();
}

function showControls() {
  const name = "preset" in range ? range.preset : "";
  for (const link of presets.children) {
    if (link.getAttribute("data-range") === name) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  setText(shownSpan, "preset" in range ? "" : `${moment(span.from)} to ${moment(span.to)}`);
  backButton.hidden = "preset" in range;
}

function loadVisible() {
  for (const chart of charts) if (chart.isVisible && !loaded.has(chart)) load(chart);
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
  container.classList.add("lost");
  setText(state, `No news for the charts: ${error.message}. Asked again in ${error.retryAfterS} s.`);
  clearTimeout(again);
  again = setTimeout(loadVisible, error.retryAfterS * 1000);
}

/** Which charts have nothing, and since when there is something where none has. */
async function tell() {
  container.classList.remove("lost");
  const empty = charts.filter((chart) => chart.isEmpty);
  if (loaded.size < charts.length || charts.some(({ isLoading }) => isLoading) || empty.length < charts.length) {
    setText(state, empty.length > 0 ? `Nothing in this range: ${empty.map(({ spec }) => spec.title).join(", ")}.` : "");
    return;
  }
  setText(state, "No points in this range.");
  const first = await firstTime();
  if (charts.every((chart) => chart.isEmpty)) setText(state, first === null ? "No points yet: its history begins with its next post." : `No points in this range; the first is from ${day(first)}.`);
}

/** Of the host's points, found by looking closer and closer. */
async function firstTime() {
  let within = { from: 0, to: serverNow() };
  let found = null;
  for (;;) {
    const asked = new URLSearchParams({ metric: "sys.cpu_percent", host: given.host, run: "", from: String(within.from), to: String(within.to), points: "1000" });
    const { series, bucket_s: bucketS } = await ask(`/api/series?${asked}`);
    const time = series[0]?.time[0];
    if (time === undefined) return found;
    found = time;
    if (bucketS < 60 || within.to - within.from <= bucketS) return found;
    within = { from: time, to: time + bucketS };
  }
}

async function loadEvents() {
  eventsUpTo = span.to;
  const asked = new URLSearchParams({ host: given.host, from: span.from.toFixed(3), to: (span.to + 600).toFixed(3) });
  const { events } = await ask(`/api/events?${asked}`).catch(() => ({ events: [] }));
  for (const chart of charts) chart.events = events;
}

/** A range that ends now goes on. */
async function follow() {
  if (!("preset" in range) || container.classList.contains("lost")) return;
  span = boundsOf(range, serverNow());
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
byId("earlier").addEventListener("click", () => go(beside(span, -1)));
byId("later").addEventListener("click", () => go(beside(span, 1)));
addEventListener("popstate", () => show(rangeOf(location.search)));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !("preset" in range)) back();
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
show(range);
every(follow, () => {}, () => {});
