import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Stream } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/stream.js";

class Source extends EventTarget {
  /** @param {string} url */
  constructor(url) {
    super();
    this.url = url;
    this.readyState = 0;
  }

  close() {
    this.readyState = 2;
  }

  /** @param {string} id */
  hosts(id) {
    this.dispatchEvent(Object.assign(new Event("hosts"), { data: `{"id":"${id}"}`, lastEventId: id }));
  }

  more() {
    this.dispatchEvent(new Event("more"));
  }

  /** @param {number} readyState */
  fail(readyState) {
    this.readyState = readyState;
    this.dispatchEvent(new Event("error"));
  }
}

/** A stream whose time and connections the test makes. */
function setUp() {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  /** @type {Source[]} */
  const sources = [];
  /** @type {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/stream.js").Told[]} */
  const told = [];
  const stream = new Stream("/stream?hold=0", (each) => told.push(each), {
    open: (url) => {
      const source = new Source(url);
      sources.push(source);
      return /** @type {EventSource} */ (/** @type {unknown} */ (source));
    },
    random: () => 1,
  });
  return { stream, sources, told, last: () => /** @type {Source} */ (sources.at(-1)), health: () => told.filter((each) => each.kind === "health").at(-1)?.health };
}

/** @param {string} name @param {(set: ReturnType<typeof setUp>) => void} check */
function streamTest(name, check) {
  test(name, () => {
    const set = setUp();
    try {
      check(set);
    } finally {
      set.stream.stop();
      mock.timers.reset();
    }
  });
}

streamTest("a message comes through and means live", ({ stream, last, told }) => {
  stream.start();
  last().hosts("e-1");
  assert.deepEqual(told.map((each) => each.kind), ["message", "health"]);
  assert.equal(told[1]?.kind === "health" && told[1].health, "live");
});

streamTest("a connection that the server closes after each message is no trouble", ({ stream, sources, last, health }) => {
  stream.start();
  for (let round = 0; round < 20; round += 1) {
    last().dispatchEvent(new Event("open"));
    last().fail(0);
    mock.timers.tick(3000);
  }
  assert.equal(sources.length, 1);
  assert.equal(health(), "live");
});

streamTest("after an HTTP error it is made anew, later each time, from where it was", ({ stream, sources, last }) => {
  stream.start();
  last().hosts("e-7");
  for (const pause of [1000, 2000, 4000, 8000, 16_000]) {
    const before = sources.length;
    last().fail(2);
    mock.timers.tick(pause - 1);
    assert.equal(sources.length, before, `${pause}`);
    mock.timers.tick(1);
    assert.equal(sources.length, before + 1, `${pause}`);
    assert.equal(last().url, "/stream?hold=0&since=e-7");
  }
});

streamTest("silence is told: first reconnecting, then away since the last sign of life", ({ stream, last, told, health }) => {
  stream.start();
  last().hosts("e-1");
  const heardMs = Date.now();
  last().fail(0);
  mock.timers.tick(7000);
  assert.equal(health(), "reconnecting");
  mock.timers.tick(9000);
  assert.equal(health(), "away");
  const now = told.at(-1);
  assert.equal(now?.kind === "health" && now.sinceMs, heardMs);
  last().hosts("e-2");
  assert.equal(health(), "live");
});

streamTest("a connection on which nothing comes is ended and made anew", ({ stream, sources }) => {
  stream.start();
  mock.timers.tick(47_000);
  assert.equal(sources.length, 2);
  assert.equal(sources[0]?.readyState, 2);
});

streamTest("nobody looks: no connection, no timer; then it goes on from where it was", ({ stream, sources, last, told }) => {
  stream.start();
  last().hosts("e-3");
  stream.stop();
  const before = told.length;
  mock.timers.tick(600_000);
  assert.equal(sources[0]?.readyState, 2);
  assert.equal(told.length, before);
  stream.start();
  assert.equal(last().url, "/stream?hold=0&since=e-3");
  mock.timers.tick(3000);
  assert.equal(told.length, before);
});

streamTest("what an ended connection still says is not heard", ({ stream, sources, last, told }) => {
  stream.start();
  last().fail(2);
  mock.timers.tick(1000);
  sources[0]?.hosts("old");
  assert.deepEqual(told, []);
});

streamTest("where the server has more, the stream asks for it at once", ({ stream, sources, last }) => {
  stream.start();
  const first = last();
  first.hosts("e-7");
  first.more();
  assert.equal(first.readyState, 2);
  assert.deepEqual(sources.map((source) => source.url), ["/stream?hold=0", "/stream?hold=0&since=e-7"]);
});
