import assert from "node:assert/strict";
import { test } from "node:test";

import { SORTS, readView, writeView } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/view.js";

test("the plain page has no query and by name", () => {
  assert.equal(writeView(readView("")), "");
  assert.deepEqual(readView(""), { q: "", sort: "name", dir: "asc", group: "none", look: "work", users: "gpus", usersDir: "desc", kiosk: false });
});

test("every view survives the way through the address", () => {
  for (const sort of SORTS) {
    for (const dir of /** @type {const} */ (["asc", "desc"])) {
      for (const group of ["none", "model", "tag", "state", "tag:rack & co"]) {
        for (const kiosk of [true, false]) {
          const view = { q: 'free user:"ä b" a+b&c=%', sort, dir, group, look: /** @type {const} */ ("power"), users: "idle", usersDir: dir, kiosk };
          assert.deepEqual(readView(writeView(view)), view);
        }
      }
    }
  }
});

test("what nobody understands counts as not said", () => {
  const view = readView("?sort=constructor&dir=up&group=x&look=y&kiosk=0&q=");
  assert.deepEqual(view, readView(""));
});

test("a wall screen shows problems first", () => {
  assert.equal(readView("?kiosk").sort, "problems");
  assert.equal(readView("?kiosk&sort=name").sort, "name");
});
