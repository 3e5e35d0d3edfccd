import assert from "node:assert/strict";
import { test } from "node:test";

import { placeOf } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/place.js";

const VIEW = { width: 1000, height: 600 };
const CARD = { width: 300, height: 200 };
/** @param {number} left @param {number} top */
const tile = (left, top) => ({ left, right: left + 60, top, bottom: top + 34 });

/** @param {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/place.js").Box} at @param {typeof CARD} card @param {typeof VIEW} view */
function isOver(at, card, view) {
  const { left, top, height } = placeOf(at, card, view);
  const bottom = top + Math.min(card.height, height);
  assert.ok(left >= 0 && top >= 0 && bottom <= view.height, JSON.stringify({ at, left, top, bottom }));
  return left < at.right && left + card.width > at.left && top < at.bottom && bottom > at.top;
}

test("below, above where there is no room, beside where there is none either", () => {
  assert.equal(placeOf(tile(100, 100), CARD, VIEW).top, 142);
  assert.equal(placeOf(tile(100, 500), CARD, VIEW).top, 292);
  const tall = { width: 300, height: 500 };
  assert.deepEqual([placeOf(tile(100, 280), tall, VIEW).left, placeOf(tile(900, 280), tall, VIEW).left], [168, 592]);
});

test("on a small screen it takes the room that is there, and scrolls", () => {
  assert.deepEqual(placeOf(tile(100, 250), { width: 360, height: 500 }, { width: 390, height: 600 }), { left: 22, top: 292, height: 300 });
});

test("it is never over what it explains, nor beyond an edge", () => {
  for (const view of [VIEW, { width: 390, height: 640 }, { width: 320, height: 300 }]) {
    for (const height of [100, 300, 500]) {
      for (let left = 0; left <= view.width - 60; left += 30) {
        for (let top = 0; top <= view.height - 34; top += 20) {
          assert.ok(!isOver(tile(left, top), { width: 300, height }, view), `${left} ${top} ${height} in ${view.width} x ${view.height}`);
        }
      }
    }
  }
});
