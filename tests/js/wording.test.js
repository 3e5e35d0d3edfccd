import assert from "node:assert/strict";
import { test } from "node:test";

import { MISSING, amount, duration, modelName, number, ofGib, percent, power, printable, rate, share, shortDuration } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/wording.js";

test("durations as the server words them", () => {
  const words = { 0: "0 s", 59.4: "59 s", 60: "1 min", 3599: "59 min", 3600: "1 h", 8040: "2 h 14 min", 86400: "1 d", 273600: "3 d 4 h" };
  for (const [seconds, word] of Object.entries(words)) assert.equal(duration(Number(seconds)), word);
  assert.equal(duration(-3), "0 s");
  assert.deepEqual([8040, 780, 5].map(shortDuration), ["2h", "13m", "5s"]);
});

test("what is missing is a dash, what is nothing is 0", () => {
  for (const missing of [null, undefined]) {
    assert.equal(percent(missing), MISSING);
    assert.equal(number(missing), MISSING);
    assert.equal(ofGib(missing), MISSING);
    assert.equal(share(missing), null);
    assert.equal(rate(missing), MISSING);
    assert.deepEqual(power(missing), [MISSING, ""]);
  }
  assert.equal(percent(0), "0 %");
  assert.deepEqual([0, 0.01, 0.06, 12, 12.04, 99.94, 99.96, 123.4].map(number), ["0", "<0.1", "0.1", "12", "12", "99.9", "100", "123"]);
  assert.equal(ofGib([null, 80]), "– of 80 GiB");
  assert.equal(share([0, 80]), 0);
  assert.equal(share([5, 0]), null);
  assert.equal(share([100, 80]), 100);
});

test("what is counted has its thousands apart", () => {
  assert.deepEqual([0, 999, 1005, 80_000].map(amount), ["0", "999", "1,005", "80,000"]);
});

test("sizes and rates", () => {
  assert.equal(ofGib([61.4, 80]), "61.4 of 80 GiB");
  assert.deepEqual(power(9999), ["9999", "W"]);
  assert.deepEqual(power(17_400), ["17.4", "kW"]);
  assert.equal(rate(1536), "1.5 KiB/s");
  assert.equal(rate(12e9), "11.2 GiB/s");
});

test("models without their maker, names without what turns text around", () => {
  assert.equal(modelName("NVIDIA GeForce RTX 4090"), "RTX 4090");
  assert.equal(modelName("Tesla V100"), "V100");
  assert.equal(modelName(null), "");
  assert.equal(printable("a\u202eb\u0000"), "a\ufffdb\ufffd");
});
