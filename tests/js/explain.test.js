import assert from "node:assert/strict";
import { test } from "node:test";

import { briefNote, explainGpu, explainHost, spokenGpu } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/explain.js";
import { NOW_MS, free, gpu, hostOf, row } from "./fleet_of.js";

/** @param {import("./fleet_of.js").Gpu} one @param {Partial<import("./fleet_of.js").Row>} [host] */
const ofGpu = (one, host = {}) => explainGpu(hostOf(row("gpu01", { ...host, gpus: [one] })), one, NOW_MS);

test("every state of a GPU that isn't well says what to do", () => {
  for (const is of /** @type {const} */ (["idle", "lost", "hung", "error", "unknown", "off"])) {
    const card = ofGpu(gpu(0, { is }));
    assert.ok(card.said[0]?.todo, is);
    assert.equal(card.kind, is);
  }
  assert.deepEqual(ofGpu(gpu(0)).said, []);
});

test("why, since when and what to do are the server's words where it has some", () => {
  const card = ofGpu(gpu(0, { is: "lost", why: "fell off the bus", todo: "reset it", since_s: 120 }));
  assert.deepEqual(card.said, [{ level: "bad", text: "fell off the bus", todo: "reset it" }]);
  assert.deepEqual(card.lines.find(([what]) => what === "lost for"), ["lost for", "2 min"]);
});

test("a lost GPU has no values, not even zeros", () => {
  const words = ofGpu(gpu(0, { is: "lost", util: null, mem: null })).lines.map(([what]) => what);
  assert.ok(!words.includes("busy") && !words.includes("memory held"));
});

test("what isn't known is a dash", () => {
  const lines = Object.fromEntries(ofGpu(gpu(0, { util: null, mem: null, power: null, temp: null, users: [] })).lines);
  assert.deepEqual([lines.busy, lines["memory held"], lines.power, lines.temperature, lines["used by"]], ["–", "–", "–", "–", "nobody known"]);
});

test("a silent host says since when, one that never reported says so", () => {
  assert.match(explainHost(hostOf(row("a", { is: "offline", age_s: 8040 })), NOW_MS).said[0]?.text ?? "", /No post for 2 h 14 min/);
  assert.match(explainHost(hostOf(row("a", { is: "silent", age_s: null })), NOW_MS).said[0]?.text ?? "", /has not reported/);
  assert.deepEqual(explainHost(hostOf(row("a")), NOW_MS).said, []);
});

test("names that turn text around are made harmless", () => {
  const card = ofGpu(gpu(0, { users: ["a\u202eb"], why: "x\u0000y", is: "error" }));
  assert.ok(!JSON.stringify(card).includes("\u202e"));
  assert.equal(card.said[0]?.text, "x\ufffdy");
});

test("a screen reader hears number and state, the tile's own words, and memory", () => {
  assert.equal(spokenGpu(gpu(3), "mira 90 %"), "GPU 3, in use, mira 90 %, 60 of 80 GiB held");
  assert.equal(spokenGpu(free(0, { mem: null }), "free"), "GPU 0, free");
  assert.equal(spokenGpu(gpu(5, { is: "lost" }), "✕ lost"), "GPU 5, ✕ lost");
  assert.equal(spokenGpu(gpu(5, { i: null, mem: null }), ""), "GPU ?, in use");
});

test("an instance of MIG goes by its own name, without that of its GPU", () => {
  const mig = ["NVIDIA A100-SXM4-80GB MIG 3g.40gb", "1g.10gb"].map((name) => ({ name, used_mib: 0, total_mib: 1024 }));
  const words = ofGpu(gpu(0, { mig })).lines.map(([what]) => what);
  assert.ok(words.includes("MIG 3g.40gb") && words.includes("MIG 1g.10gb"), words.join(", "));
});

test("whose time it is since when is told apart: the mole's, and what this server saw", () => {
  const [kind, level] = /** @type {const} */ (["gpu", "bad"]);
  const both = { kind, level, text: "GPU 5 lost", since_s: 120, told_since: "2026-11-22 10:25:17 by its mole" };
  const said = (/** @type {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js").Note} */ note) => explainHost(hostOf(row("a", { notes: [note] })), NOW_MS).said[0]?.text;
  assert.equal(said(both), "GPU 5 lost (since 2026-11-22 10:25:17 by its mole, seen here for 2 min)");
  assert.equal(said({ kind, level, text: "full", since_s: 120 }), "full (for 2 min)");
  assert.equal(said({ kind, level, text: "full", since_s: null }), "full");
  const host = hostOf(row("a", { age_s: 2 }));
  assert.equal(briefNote(both, host, 62), "GPU 5 lost (since 2026-11-22 10:25:17 by its mole)");
  assert.equal(briefNote({ ...both, told_since: undefined }, host, 62), "GPU 5 lost (for 3 min)");
});

test("how busy its parts were is told where its driver does", () => {
  const told = Object.fromEntries(ofGpu(gpu(0, { sm: 96, tensor: 0, dram: 89 })).lines);
  assert.deepEqual([told["tensor cores"], told["memory bandwidth"]], ["0 %", "89 %"]);
  assert.ok(!ofGpu(gpu(0)).lines.some(([name]) => name === "tensor cores"));
});
