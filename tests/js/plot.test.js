import assert from "node:assert/strict";
import { test } from "node:test";

import { narrowed } from "../../cluster-dash-server/cluster_dash_server/static/scripts/plot.js";

test("on a phone a name is cut, not its GPU nor an entity in it, and its age goes", () => {
  assert.equal(narrowed("gpu01"), "gpu01");
  assert.equal(narrowed("gpu01 (14 min ago)"), "gpu01");
  assert.equal(narrowed("render-and-inference-l40s-bui… · 12 (2 h 5 min ago)"), "render-and-in… · 12");
  assert.equal(narrowed("<b>".replace("<", "&lt;").replace(">", "&gt;") + "abcdefghijklmnop"), "&lt;b&gt;abcdefghij…");
});
