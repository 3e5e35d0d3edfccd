import assert from "node:assert/strict";
import { test } from "node:test";

import { planBoard } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/kiosk.js";
import { sparkPath } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/row.js";

test("24 hosts are on one screen, readable", () => {
  const plan = planBoard(24, 1, 1888, 940);
  assert.equal(plan.pages, 1);
  assert.ok(plan.scale >= 1);
  assert.ok(plan.columns * plan.lines >= 24);
});

test("a few hosts are large, but no giants", () => {
  assert.ok(planBoard(1, 1, 1888, 940).scale <= 2.2);
});

test("too many hosts come page by page, each on one of them", () => {
  const plan = planBoard(1000, 2, 1888, 940);
  assert.ok(plan.pages > 1);
  assert.ok(plan.pages * plan.columns * plan.lines >= 1000);
  assert.ok((plan.pages - 1) * plan.columns * plan.lines < 1000);
  assert.equal(planBoard(0, 1, 1888, 940).pages, 1);
});

test("a sparkline has gaps where nothing is known, and shows a lone value", () => {
  assert.equal(sparkPath([0, 100, null, 50]), "M0 24.0L1 0.0M2.5 12.0h1");
  assert.equal(sparkPath([null, null]), "");
});
