import assert from "node:assert/strict";
import { test } from "node:test";

import { planBoard } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/kiosk.js";
import { sparkPath } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/row.js";

/** @param {number} count @param {number} [tileLines] */
const hosts = (count, tileLines = 1) => Array.from({ length: count }, () => tileLines);

test("24 hosts are on one screen, readable", () => {
  const plan = planBoard(hosts(24), 1888, 940);
  assert.deepEqual(plan.starts, [0]);
  assert.ok(plan.scale >= 1);
  assert.ok(plan.columns * plan.lines >= 2 * 24);
  assert.ok(plan.lines * plan.unitPx <= 940);
});

test("a few hosts are large, but no giants", () => {
  assert.ok(planBoard(hosts(1), 1888, 940).scale <= 2.2);
});

test("too many hosts come page by page, each on one of them", () => {
  const plan = planBoard(hosts(1000, 2), 1888, 940);
  const [first, second] = [Math.floor(plan.lines / 3) * plan.columns, 2 * Math.floor(plan.lines / 3) * plan.columns];
  assert.deepEqual(plan.starts.slice(0, 3), [0, first, second]);
  assert.equal(plan.starts.length, Math.ceil(1000 / first));
  assert.deepEqual(planBoard([], 1888, 940).starts, [0]);
});

test("a host with many GPUs takes room of its own, the others are as on a wall without it", () => {
  const many = [...hosts(20), 8, ...hosts(20)];
  const plan = planBoard(many, 1888, 940);
  assert.deepEqual(plan.starts, [0]);
  assert.ok(plan.columns * plan.lines < 2 * 40 + 9 + plan.columns * 2);
  assert.ok(plan.scale > 0.9 * planBoard(hosts(45), 1888, 940).scale);
});

test("a host that is higher than the screen is on it all the same", () => {
  assert.deepEqual(planBoard([1, 40, 1], 800, 400).starts.length >= 1, true);
  assert.ok(planBoard([40], 800, 400).scale > 0);
});

test("a sparkline has gaps where nothing is known, and shows a lone value", () => {
  assert.equal(sparkPath([0, 100, null, 50]), "M0 24.0L1 0.0M2.5 12.0h1");
  assert.equal(sparkPath([null, null]), "");
});
