import assert from "node:assert/strict";
import { test } from "node:test";

import { ageOf, byName, hasProblem, isHot, meanUtil } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js";
import { NOW_MS, fleetOf, free, gpu, hostOf, message, row } from "./fleet_of.js";

test("a part changes what it names and leaves the rest", () => {
  const fleet = fleetOf(row("a"), row("b"), row("c"));
  const before = fleet.hosts.get("a");
  fleet.apply(message([row("b", { cpu: 99 }), row("d")], { full: false, version: 2, gone: ["c"] }), NOW_MS + 5000);
  assert.deepEqual([...fleet.hosts.keys()], ["a", "b", "d"]);
  assert.equal(fleet.hosts.get("a"), before);
  assert.equal(fleet.hosts.get("b")?.cpu, 99);
  assert.equal(fleet.ranks.get("d"), 2);
  assert.equal(fleet.version, 2);
});

test("a full message replaces everything", () => {
  const fleet = fleetOf(row("a"), row("b"));
  fleet.apply(message([row("z")]), NOW_MS);
  assert.deepEqual([...fleet.hosts.keys()], ["z"]);
  assert.deepEqual([...fleet.ranks], [["z", 0]]);
});

test("ages go on between messages, and whoever never posted has none", () => {
  const fleet = fleetOf(row("a", { age_s: 2 }), row("dark", { is: "silent", age_s: null }));
  const [a, dark] = ["a", "dark"].map((name) => fleet.hosts.get(name));
  assert.ok(a && dark);
  assert.equal(ageOf(a, NOW_MS + 10_000), 12);
  assert.equal(ageOf(a, NOW_MS - 10_000), 0);
  assert.equal(ageOf(dark, NOW_MS), null);
  assert.equal(fleet.newestAge(NOW_MS + 1000), 3);
  assert.equal(fleetOf().newestAge(NOW_MS), null);
});

test("a snapshot read again is the same fleet, older by the time between", () => {
  const fleet = fleetOf(row("a", { age_s: 2 }), row("b", { age_s: 7 }));
  const again = fleetOf();
  again.apply(JSON.parse(JSON.stringify(fleet.snapshot(NOW_MS + 3000))), NOW_MS + 3000);
  const a = again.hosts.get("a");
  assert.ok(a);
  assert.equal(ageOf(a, NOW_MS + 3000), 5);
  assert.deepEqual([...again.hosts.keys()], ["a", "b"]);
});

test("parts that a server leaves out are empty, not undefined", () => {
  const host = hostOf({ name: "bare", is: "up" });
  assert.deepEqual([host.gpus, host.notes, host.tags, host.at], [[], [], [], null]);
});

test("zeros count in a mean, unknown and last values don't", () => {
  assert.equal(meanUtil(hostOf(row("a", { gpus: [gpu(0, { util: 90 }), free(1), free(2)] }))), 30);
  assert.equal(meanUtil(hostOf(row("a", { gpus: [gpu(0, { util: null }), gpu(1, { is: "off" })] }))), null);
});

test("what a person should look at", () => {
  assert.ok(!hasProblem(hostOf(row("a"))));
  assert.ok(!hasProblem(hostOf(row("a", { notes: [{ kind: "old_mole", level: "info", text: "" }] }))));
  assert.ok(hasProblem(hostOf(row("a", { notes: [{ kind: "nfs", level: "warn", text: "" }] }))));
  assert.ok(hasProblem(hostOf(row("a", { is: "stale" }))));
  for (const is of /** @type {const} */ (["lost", "hung", "error"])) assert.ok(hasProblem(hostOf(row("a", { gpus: [gpu(0, { is })] }))));
});

test("names in the order of counting", () => {
  assert.deepEqual(["b", "a10", "A2", "a1"].sort(byName), ["a1", "A2", "a10", "b"]);
});

test("hot is what the card calls so, or 85 °C, whoever uses it", () => {
  assert.deepEqual([84, 85].map((temp) => isHot(gpu(0, { temp }))), [false, true]);
  assert.deepEqual([isHot(free(0, { temp: 90 })), isHot(gpu(0, { is: "idle", temp: 45 })), isHot(gpu(0, { temp: null }))], [true, false, false]);
  assert.deepEqual(["too hot (hardware)", "power limit"].map((reason) => isHot(gpu(0, { temp: 70, throttled: [reason] }))), [true, false]);
});
