import assert from "node:assert/strict";
import { test } from "node:test";

import { Heights } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/heights.js";

function laid() {
  const heights = new Heights();
  heights.learn("a", 10);
  heights.learn("b", 30);
  heights.lay(["a", "b", "a", "b"]);
  return heights;
}

test("rows stand below each other", () => {
  const heights = laid();
  assert.deepEqual([0, 1, 2, 3].map((index) => heights.top(index)), [0, 10, 40, 50]);
  assert.equal(heights.total, 80);
});

test("the rows in view are those that reach into it", () => {
  const heights = laid();
  assert.deepEqual(heights.range(0, 80), [0, 4]);
  assert.deepEqual(heights.range(15, 45), [1, 3]);
  assert.deepEqual(heights.range(-500, 5), [0, 1]);
  assert.deepEqual(heights.range(500, 900), [3, 4]);
  assert.deepEqual(heights.range(-500, -100), [0, 0]);
});

test("no row is no trouble", () => {
  const heights = new Heights();
  heights.lay([]);
  assert.deepEqual([heights.range(0, 100), heights.total], [[0, 0], 0]);
});

test("what is learned is told once", () => {
  const heights = new Heights();
  assert.ok(heights.learn("a", 60));
  assert.ok(!heights.learn("a", 60));
  assert.ok(heights.knows("a"));
  heights.forget();
  assert.ok(!heights.knows("a"));
});

test("ten thousand rows are laid and found quickly", () => {
  const heights = new Heights();
  const shapes = Array.from({ length: 10_000 }, (_, index) => (index % 3 ? "a" : "b"));
  const before = performance.now();
  heights.lay(shapes);
  assert.ok(heights.range(100_000, 101_000)[0] > 0);
  assert.ok(performance.now() - before < 100);
});
