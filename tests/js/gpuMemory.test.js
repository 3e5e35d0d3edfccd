import assert from "node:assert/strict";
import { test } from "node:test";

import { MOST_USERS, barsOf, escaped, figureOf, lookOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/gpuMemory.js";

const COLOURS = { dim: "#1", second: "#2", others: "#3", ink: "#4" };
const gib = (/** @type {number} */ count) => count * 1024;

/** @param {Record<string, number>} byUser GiB */
function gpu(byUser, total = 80) {
  const users = Object.fromEntries(Object.entries(byUser).map(([user, held], pid) => [user, { [pid]: { mem: gib(held) } }]));
  return { index: 0, total_mem: gib(total), used_mem: gib(Object.values(byUser).reduce((sum, held) => sum + held, 1)), users };
}

/** @param {ReturnType<typeof figureOf>} figure */
const lookIn = (figure) => figure.data.map((trace) => {
  const { color, pattern } = /** @type {{ color: string, pattern: { shape: string } }} */ (trace.marker);
  return `${color}${pattern.shape}`;
});

test("no two users look alike, nor like what is nobody's", () => {
  const many = Object.fromEntries(Array.from({ length: MOST_USERS + 5 }, (_, place) => [`user${place}`, 1]));
  const figure = figureOf(barsOf({ a: { 0: gpu(many) } }).bars, COLOURS);
  assert.equal(figure.data.length, MOST_USERS + 3);
  assert.equal(new Set(lookIn(figure)).size, figure.data.length);
  assert.equal(figure.data[MOST_USERS]?.name, "5 other users");
});

test("a user keeps the look while memory moves, and stands in their bars by name", () => {
  const of = (/** @type {Record<string, number>} */ byUser) => figureOf(barsOf({ a: { 0: gpu(byUser) } }).bars, COLOURS);
  const [before, after] = [of({ mira: 40, bob: 10 }), of({ mira: 5, bob: 30 })];
  const lookOfUser = (/** @type {ReturnType<typeof figureOf>} */ figure, /** @type {string} */ user) => lookIn(figure)[figure.data.findIndex((trace) => String(trace.name).startsWith(user))];
  for (const user of ["mira", "bob"]) assert.equal(lookOfUser(before, user), lookOfUser(after, user));
  assert.deepEqual(before.data.map((trace) => trace.text), [["mira"], ["bob"], undefined, undefined]);
  assert.deepEqual(before.data.map((trace) => trace.name), ["mira 40 GiB", "bob 10 GiB", "no known process", "free"]);
  assert.deepEqual(before.data.map((trace) => trace.x), [[40], [10], [1], [29]]);
});

test("what can't be read is a note and no bar; cards for a screen are left out", () => {
  const { bars, notes } = barsOf({
    a: { 0: { ...gpu({}), state: "lost", error: "gone" }, 1: gpu({}, 2) },
    b: { gpu_error: { name: "error", state: "hung", error: "no answer" } },
    c: { 0: { ...gpu({ mira: 1 }), time_received_mins: 12, received_timestamp: 720 } },
  });
  assert.deepEqual(notes, ["a: GPU 0 lost: gone", "b: hung: no answer"]);
  assert.deepEqual(bars.map((bar) => [bar.label, bar.isOld]), [["c · 0 (12 min ago)", true]]);
});

test("a host's GPUs are in the order of their numbers", () => {
  const { bars } = barsOf({ a: { "0_A": gpu({}), "10_A": { ...gpu({}), index: 10 }, "2_A": { ...gpu({}), index: 2 } } });
  assert.deepEqual(bars.map((bar) => bar.label), ["a · 0", "a · 2", "a · 10"]);
});

test("a pattern lies over its hue and doesn't take its place", () => {
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, place) => [`user${place}`, 1]));
  for (const trace of figureOf(barsOf({ a: { 0: gpu(many) } }).bars, COLOURS).data) {
    assert.equal(/** @type {{ pattern: { fillmode: string } }} */ (trace.marker).pattern.fillmode, "overlay");
  }
});

test("names are text for Plotly", () => {
  assert.equal(escaped("<b>&"), "&lt;b&gt;&amp;");
  assert.notDeepEqual(lookOf(0), lookOf(10));
});
