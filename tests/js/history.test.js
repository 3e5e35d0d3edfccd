import assert from "node:assert/strict";
import { test } from "node:test";

import { causeOf, gapsOf, told } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/gaps.js";
import { moved, placesOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/keys.js";
import { knownOf, lacking, lifeOf, touches } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/known.js";
import { inOrder, looksOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/lines.js";
import { beside, boundsOf, closer, rangeOf, searchOf, spanOf, wider } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/range.js";
import { appended, columnsOf, lonely, longestStep, near, newest, stepOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/series.js";
import { moment, spanned, tickLabels } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/times.js";
import { fitted, topOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/units.js";
import { wrapped } from "../../cluster-dash-server/cluster_dash_server/static/scripts/history/words.js";

const READING = { scale: 1, limits: {} };

/** @param {number[]} time @param {(number | null)[]} value @param {Partial<import("../../cluster-dash-server/cluster_dash_server/static/scripts/history/series.js").Series>} [more] */
const series = (time, value, more = {}) => ({ metric: "m", device: null, tags: {}, time, value, ...more });

test("a range is in the address and comes back from it", () => {
  for (const range of [{ preset: "6h" }, { from: 1795300000, to: 1795303600.25 }]) assert.deepEqual(rangeOf(searchOf(range)), range);
});

test("an address that can't be read is the usual range", () => {
  for (const search of ["", "?range=2h", "?from=1", "?from=9&to=5", "?from=x&to=9", "?from=-5&to=9", "?from=1e99&to=2e99", "?range=6h&from=&to="]) {
    assert.ok("preset" in rangeOf(search), search);
  }
  assert.deepEqual(rangeOf("?range=6h&from=&to="), { preset: "6h" });
});

test("a preset ends now, a dragged range stays; what is dragged backwards is the same", () => {
  assert.deepEqual(boundsOf({ preset: "15m" }, 10_000), { from: 9100, to: 10_000 });
  assert.deepEqual(boundsOf({ from: 1, to: 2 }, 10_000), { from: 1, to: 2 });
  assert.deepEqual(spanOf(5000.7, 100.2), { from: 100, to: 5001 });
  assert.deepEqual(spanOf(7, 7), { from: 7, to: 8 });
});

test("earlier and later go as far as the range is long, not past now, where a preset follows again", () => {
  assert.deepEqual(beside({ from: 100, to: 160 }, -1, 1000), { from: 40, to: 100 });
  assert.deepEqual(beside({ from: 20, to: 80 }, -1, 1000), { from: 0, to: 60 });
  assert.deepEqual(beside({ from: 100, to: 160 }, 1, 1000), { from: 160, to: 220 });
  assert.deepEqual(beside({ from: 100, to: 160 }, 1, 170), { from: 110, to: 170 });
  assert.deepEqual(beside({ from: 100, to: 1000 }, 1, 1100), { preset: "15m" });
});

test("closer keeps the time under the cursor, wider the middle, a preset gives the next", () => {
  assert.deepEqual(closer({ from: 1000, to: 2000 }, 1200), { from: 1100, to: 1600 });
  assert.deepEqual(wider({ from: 1100, to: 1600 }, 10_000), { from: 850, to: 1850 });
  assert.deepEqual(wider({ from: 1100, to: 1600 }, 1700), { from: 700, to: 1700 });
  assert.deepEqual(wider({ preset: "1h" }, 10_000), { preset: "6h" });
  assert.deepEqual(wider({ preset: "1y" }, 2e9), { from: 2e9 - 2 * 365 * 86400, to: 2e9 });
});

test("lines share one column of times; one that has nothing then goes on, one with a gap breaks", () => {
  const { times, lines } = columnsOf({ bucket_s: 0, series: [series([0, 10, 20, 100, 110], [1, 2, 3, 4, 5]), series([0, 20, 40], [7, 8, 9])] }, READING);
  assert.deepEqual(times, [0, 10, 20, 30, 40, 100, 110]);
  assert.deepEqual(lines[0]?.line, [1, 2, 3, null, undefined, 4, 5]);
  assert.deepEqual(lines[1]?.line, [7, undefined, 8, undefined, 9, undefined, undefined]);
  assert.equal(lines[0]?.low, null);
});

test("buckets are drawn in their middle as mean, lowest and highest, and an empty one is a gap", () => {
  const bucketed = series([64, 128, 256], [5, 5, 5], { min: [1, 2, 3], max: [9, 8, 7], mean: [4, 5, 6] });
  const { times, lines } = columnsOf({ bucket_s: 64, series: [bucketed] }, { scale: 10, limits: {} });
  assert.deepEqual(times, [96, 160, 224, 288]);
  assert.deepEqual(lines, [{ line: [40, 50, null, 60], low: [10, 20, null, 30], high: [90, 80, null, 70] }]);
});

test("a band that is nowhere wider than its line is none", () => {
  const bare = series([64, 128], [5, 6], { min: [5, 6], max: [5, 6], mean: [5, 6] });
  assert.deepEqual(columnsOf({ bucket_s: 64, series: [bare] }, READING).lines, [{ line: [5, 6], low: null, high: null }]);
});

test("what is missing or can't be is a gap, in a bucket too", () => {
  const limited = { scale: 1, limits: { m: /** @type {[number, number]} */ ([0, 100]) } };
  assert.deepEqual(columnsOf({ bucket_s: 0, series: [series([1, 2, 3], [5, null, 4e9])] }, limited).lines[0]?.line, [5, null, null]);
  const bucketed = series([0, 64], [5, 5], { min: [1, 2], max: [9, 4e9], mean: [4, 5] });
  assert.deepEqual(columnsOf({ bucket_s: 64, series: [bucketed] }, limited).lines[0]?.line, [4, null]);
});

test("a sender slower than the buckets has no gap between each two", () => {
  assert.equal(stepOf([0, 60, 120, 121]), 60);
  assert.equal(longestStep(60, 16), 180);
  assert.equal(longestStep(16, 16), 24);
  assert.equal(longestStep(0, 0), 0);
});

test("what came since is put behind, once, and what is older than the range goes", () => {
  const answer = { bucket_s: 0, series: [series([1, 2, 3], [1, 2, 3]), series([1], [9], { device: 0 })] };
  const news = { bucket_s: 0, series: [series([3, 4], [30, 4]), series([4], [8], { device: 1 })] };
  const { series: found } = appended(answer, news, 2);
  assert.deepEqual(found.map(({ device, time, value }) => [device, time, value]), [[null, [2, 3, 4], [2, 3, 4]], [1, [4], [8]]]);
  assert.equal(newest({ bucket_s: 0, series: found }), 4);
  assert.equal(newest({ bucket_s: 0, series: [] }), -Infinity);
});

test("the value near a place is that of its line, and none across a gap", () => {
  assert.equal(near([5, undefined, undefined, 7], 1, 2), 5);
  assert.equal(near([undefined, undefined, undefined, 7], 0, 2), null);
  assert.equal(near([5, undefined, null, 7], 2, 2), null);
});

test("a point between two breaks is found, as no line goes there", () => {
  assert.deepEqual(lonely([1, null, undefined, 2, undefined, null, 3, 4, null, 5]), [0, 3, 9]);
  assert.deepEqual(lonely([1, undefined, 2]), []);
  assert.deepEqual(lonely([]), []);
});

test("a gap is longer than is usual between two points, at the range's ends too", () => {
  assert.deepEqual(gapsOf([0, 10, 20, 100, 110], 30, 0, { from: 0, to: 115 }), [{ from: 20, to: 100 }]);
  assert.deepEqual(gapsOf([50, 60], 30, 0, { from: 0, to: 110 }), [{ from: 0, to: 50 }, { from: 60, to: 110 }]);
  assert.deepEqual(gapsOf([50], 0, 0, { from: 0, to: 110 }), [{ from: 0, to: 50 }, { from: 50, to: 110 }]);
  assert.deepEqual(gapsOf([], 30, 0, { from: 0, to: 60 }), []);
});

test("a bucket is full to its end", () => {
  assert.deepEqual(gapsOf([64, 128, 256], 96, 64, { from: 70, to: 330 }), [{ from: 192, to: 256 }]);
  assert.deepEqual(gapsOf([64, 128], 96, 64, { from: 0, to: 192 }), [{ from: 0, to: 64 }]);
});

test("before all that a chart shows there is no data; what was before the range is a gap as any", () => {
  const span = { from: 1000, to: 5000 };
  const gaps = [{ from: 1000, to: 2000 }];
  assert.match(told(gaps, span, 1800, [], 60)[0]?.why ?? "", /^no data before .* 1970, /);
  assert.equal(told(gaps, span, 0, [], 60)[0]?.why, "no data");
  assert.equal(told([{ from: 3000, to: 4000 }], span, 1800, [], 60)[0]?.why, "no data");
});

test("a gap's cause is what started when it ended", () => {
  const gap = { from: 1000, to: 2000 };
  /** @param {string} kind @param {number} time @param {Record<string, unknown>} [data] */
  const event = (kind, time, data = {}) => ({ kind, time, host: "a", data });
  assert.equal(causeOf(gap, [], 60), "no data");
  assert.equal(causeOf(gap, [event("mole start", 2000)], 60), "the mole was off");
  assert.equal(causeOf(gap, [event("mole start", 2000), event("host boot", 2000)], 60), "the host was off");
  assert.equal(causeOf(gap, [event("mole start", 2300), event("mole start", 900)], 60), "no data");
  assert.equal(causeOf(gap, [event("server start", 1990, { off_since: 1005 })], 60), "the server was off");
  assert.equal(causeOf(gap, [event("server start", 1100, { off_since: 1090 })], 60), "no data");
  assert.equal(causeOf(gap, [event("server start", 1990, { off_since: 1005 }), event("host boot", 1990)], 60), "the host was off, the server was off");
  assert.equal(causeOf(gap, [event("host sleep", 2000, { off_since: 1005 })], 60), "the host was asleep");
  assert.equal(causeOf(gap, [event("host sleep", 1600, { off_since: 1005 }), event("server start", 2000, { off_since: 1500 })], 60), "the host was asleep");
  assert.equal(causeOf(gap, [event("host sleep", 1100, { off_since: 1005 })], 60), "no data");
});

/** As WCAG reckons it. @param {string} one @param {string} other */
function contrast(one, other) {
  const [dark = 0, light = 0] = [one, other].map(luminance).sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** @param {string} colour */
function luminance(colour) {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test("every line is seen on the light and on the dark page", () => {
  const devices = Array.from({ length: 10 }, (_, device) => series([], [], { device }));
  for (const { colour } of looksOf(devices, {})) {
    assert.ok(contrast(colour, "#ffffff") >= 3, colour);
    assert.ok(contrast(colour, "#171d23") >= 3, colour);
  }
});

test("a GPU has one colour in every chart; others have them in turn", () => {
  const gpus = [3, 1, 11].map((device) => series([], [], { device }));
  const ordered = inOrder(gpus, ["m"]);
  assert.deepEqual(ordered.map(({ device }) => device), [1, 3, 11]);
  const looks = looksOf(ordered, { m: "" });
  assert.deepEqual(looks.map(({ name }) => name), ["GPU 1", "GPU 3", "GPU 11"]);
  assert.equal(looks[0]?.colour, looksOf([series([], [], { metric: "n", device: 1 })], {})[0]?.colour);
  assert.equal(looks[0]?.colour, looks[2]?.colour);
  assert.notDeepEqual(looks[0]?.dash, looks[2]?.dash);
});

test("a line is named by its word and tags, cleaned; else by its metric", () => {
  const named = looksOf([series([], [], { tags: { iface: "eth\u202e0" } }), series([], [])], { m: "in" });
  assert.deepEqual(named.map(({ name }) => name), ["in eth\ufffd0", "in"]);
  assert.equal(looksOf([series([], [])], {})[0]?.name, "m");
  assert.equal(looksOf([series([], [], { tags: { resource: "io" } })], { m: "for" }, { io: "disks" })[0]?.name, "for disks");
  assert.equal(looksOf([series([], [], { tags: { iface: "constructor" } })], { m: "in" })[0]?.name, "in constructor");
  const disks = inOrder(["/data10", "/data2"].map((mount) => series([], [], { tags: { mount } })), ["m"]);
  assert.deepEqual(disks.map(({ tags }) => tags.mount), ["/data2", "/data10"]);
});

test("times are the viewer's, with the date where it is another one", () => {
  process.env.TZ = "Asia/Kolkata";
  const midnight = Date.UTC(2026, 10, 21, 18, 30) / 1000;
  assert.deepEqual(tickLabels([midnight - 3600, midnight, midnight + 3600], 3600), ["23:00\n21 Nov", "00:00\n22 Nov", "01:00"]);
  assert.deepEqual(tickLabels([midnight, midnight + 86400], 86400), ["22 Nov\n2026", "23 Nov"]);
  assert.deepEqual(tickLabels([midnight + 5], 5), ["00:00:05\n22 Nov"]);
  assert.match(moment(midnight), /^22 Nov( 2026)?, 00:00:00$/);
});

test("a range is told as exactly as its length asks for", () => {
  process.env.TZ = "Asia/Kolkata";
  const noon = Date.UTC(2026, 10, 22, 6, 30) / 1000;
  assert.match(spanned({ from: noon, to: noon + 90 }), /^22 Nov( 2026)?, 12:00:00 to 12:01:30$/);
  assert.match(spanned({ from: noon, to: noon + 7200 }), /^22 Nov( 2026)?, 12:00 to 14:00$/);
  assert.match(spanned({ from: noon, to: noon + 86400 }), /^22 Nov( 2026)?, 12:00 to 23 Nov( 2026)?, 12:00$/);
});

test("the days of an axis go on over the change to summer time and back", () => {
  process.env.TZ = "Europe/Berlin";
  const change = Date.UTC(2026, 2, 29, 1) / 1000; // 02:00 is 03:00
  assert.deepEqual(tickLabels([change - 3600, change, change + 3600], 3600), ["01:00\n29 Mar", "03:00", "04:00"]);
  const back = Date.UTC(2026, 9, 25, 1) / 1000; // 03:00 is 02:00
  assert.deepEqual(tickLabels([back - 3600, back, back + 3600], 3600), ["02:00\n25 Oct", "02:00", "03:00"]);
});

test("only charts of what the host ever sent, and where to look for what isn't in the range", () => {
  const known = knownOf({ metrics: [{ name: "a", oldest: 100, newest: 200 }, { name: "b", oldest: 50, newest: 150 }] });
  const spec = { title: "A and B", metrics: { a: "", b: "", c: "" } };
  assert.deepEqual(lifeOf(known, spec), { from: 50, to: 200 });
  assert.equal(lifeOf(known, { title: "C", metrics: { c: "" } }), null);
  assert.ok(touches({ from: 50, to: 200 }, { from: 150, to: 300 }, 400));
  assert.ok(!touches({ from: 50, to: 200 }, { from: 210, to: 300 }, 400));
  assert.ok(touches({ from: 50, to: 200 }, { from: 210, to: 500 }, 400), "what came since it was asked");
  assert.ok(!touches({ from: 50, to: 200 }, { from: 10, to: 40 }, 400));
  assert.match(lacking(known, [spec], { from: 5000, to: 9000 }), /^Nothing in this range: A and B \(last 1 Jan 1970, .*\)\.$/);
  const other = { title: "B", metrics: { a: "" } };
  assert.match(lacking(known, [spec, other], { from: 20_000, to: 30_000 }), /^Nothing in this range: A and B, B \(last 1 Jan 1970, [^)]*\)\.$/);
  assert.equal(lacking(known, [], { from: 0, to: 1 }), "");
});

test("rates are told in the unit in which the largest is 1 or more; all else as it is", () => {
  const usual = { unit: "MiB/s", scale: 2 ** -20 };
  assert.deepEqual(fitted(usual, 30_000), { unit: "KiB/s", scale: 2 ** -10 });
  assert.deepEqual(fitted(usual, 5e10), { unit: "GiB/s", scale: 2 ** -30 });
  assert.deepEqual(fitted(usual, 1.1e9), { unit: "MiB/s", scale: 2 ** -20 });
  assert.deepEqual(fitted(usual, 0), usual);
  assert.deepEqual(fitted({ unit: "W", scale: 1 }, 5e9), { unit: "W", scale: 1 });
});

test("a share's axis goes to 100, that of time waited as far as there is something", () => {
  assert.equal(topOf("%", 3), 100);
  assert.equal(topOf("% used", null), 100);
  assert.equal(topOf("% of the time", 0.2), 1);
  assert.ok(Math.abs(topOf("% of the time", 20) - 21) < 1e-9);
  assert.equal(topOf("% of the time", 99), 100);
});

test("keys go from value to value within the range, by ten with Shift, and stay at the ends", () => {
  const line = [1, null, undefined, 2, 3, 4];
  const places = placesOf({ times: [0, 10, 20, 30, 40, 50], lines: [{ line, low: null, high: null }], stepS: 10 }, { from: 5, to: 50 });
  assert.deepEqual(places, [3, 4, 5]);
  assert.equal(moved("ArrowLeft", false, places, null), 5);
  assert.equal(moved("ArrowLeft", false, places, 5), 4);
  assert.equal(moved("ArrowLeft", true, places, 5), 3);
  assert.equal(moved("ArrowRight", false, places, 5), 5);
  assert.equal(moved("Home", false, places, 5), 3);
  assert.equal(moved("End", false, places, 3), 5);
  assert.equal(moved("x", false, places, 3), null);
  assert.equal(moved("End", false, [], null), null);
});

test("words in a gap are broken where it is narrow, and left out where they don't fit", () => {
  const measure = (/** @type {string} */ text) => text.length;
  assert.deepEqual(wrapped("the host was off", 20, measure), ["the host was off"]);
  assert.deepEqual(wrapped("the host was off", 9, measure), ["the host", "was off"]);
  assert.deepEqual(wrapped("the host was off", 3, measure), []);
});
