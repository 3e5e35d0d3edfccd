import assert from "node:assert/strict";
import { test } from "node:test";

import { devicesLine, placesFor, shellWord } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/free.js";
import { fleetOf, free, gpu, hostOf, row } from "./fleet_of.js";

/** @param {ReturnType<typeof fleetOf>} fleet @param {number} count @param {number} gib */
const places = (fleet, count, gib) => placesFor(fleet.hosts.values(), count, gib).map((place) => `${place.host.name}:${place.gpus.map((one) => one.i)}`);

const fleet = fleetOf(
  row("empty", { gpus: [free(0), free(1), free(2), free(3)] }),
  row("tight", { gpus: [gpu(0), free(1, { since_s: 100 }), free(2, { since_s: 4000 })] }),
  row("small", { gpus: [free(0, { mem: [0, 24] }), free(1, { mem: [0, 24] })] }),
  row("idle", { gpus: [gpu(0, { is: "idle" }), gpu(1, { is: "idle" })] }),
  row("gone", { is: "offline", gpus: [free(0), free(1)] }),
);

test("only free GPUs of hosts that are up, all on one host", () => {
  assert.deepEqual(places(fleet, 2, 40), ["tight:1,2", "empty:0,1"]);
  assert.deepEqual(places(fleet, 4, 0), ["empty:0,1,2,3"]);
  assert.deepEqual(places(fleet, 5, 0), []);
  assert.deepEqual(places(fleet, 1, 20).length, 3);
});

test("of the GPUs that fit, those that have been quiet the longest", () => {
  assert.deepEqual(places(fleet, 1, 40)[0], "tight:2");
});

test("who has been quiet for ten minutes comes first, as in /free.txt", () => {
  const two = fleetOf(row("a", { gpus: [free(0, { since_s: 599 })] }), row("b", { gpus: [free(0, { since_s: 600 }), free(1)] }));
  assert.deepEqual(places(two, 1, 0), ["b:0", "a:0"]);
});

test("what is offered together is of one model", () => {
  const mixed = fleetOf(row("a", { gpus: [free(0), free(1, { model: "A100" }), free(2)] }));
  assert.deepEqual([places(mixed, 2, 0), places(mixed, 3, 0)], [["a:0,2"], []]);
});

test("memory that isn't known is no room", () => {
  assert.deepEqual(places(fleetOf(row("a", { gpus: [free(0, { mem: [null, 80] })] })), 1, 10), []);
});

test("whole UUIDs, and indices in the bus's order only where one has none", () => {
  const lineOf = (/** @type {import("./fleet_of.js").Gpu[]} */ ...gpus) => devicesLine({ host: hostOf(row("a", { gpus })), gpus, instance: null, free: 2, quiet_s: 0 });
  assert.equal(lineOf(free(0), free(3)), "CUDA_VISIBLE_DEVICES=GPU-0,GPU-3");
  assert.equal(lineOf(free(0), free(3, { uuid: null })), "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,3");
  assert.equal(lineOf(free(0, { uuid: "$(reboot)" })), "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0");
});

const split = gpu(2, {
  util: null, since_s: 900,
  mig: [
    { name: "MIG 3g.40gb", used_mib: 20_000, total_mib: 40_960 },
    { name: "MIG 2g.20gb", used_mib: 0, total_mib: 20_480, uuid: "MIG-two" },
    { name: "MIG 1g.10gb", used_mib: 0, total_mib: 10_240, uuid: "MIG-one" },
    { name: "MIG 1g.10gb", used_mib: 0, total_mib: 10_240, uuid: "x; reboot" },
  ],
});

test("of a split GPU the smallest free instance that fits is offered, where one is asked for", () => {
  const fleet = fleetOf(row("m", { gpus: [split] }), row("away", { is: "stale", gpus: [split] }));
  const found = (/** @type {number} */ count, /** @type {number} */ gib) => placesFor(fleet.hosts.values(), count, gib).map((place) => [devicesLine(place), place.free]);
  assert.deepEqual(found(1, 0), [["CUDA_VISIBLE_DEVICES=MIG-one", 2]]);
  assert.deepEqual(found(1, 15), [["CUDA_VISIBLE_DEVICES=MIG-two", 1]]);
  assert.deepEqual([found(1, 40), found(2, 0)], [[], []]);
});

test("a host's name is one word of a shell", () => {
  assert.equal(shellWord("gpu01.lab"), "gpu01.lab");
  assert.equal(shellWord("a; rm -rf ~"), "'a; rm -rf ~'");
  assert.equal(shellWord("it's"), "'it'\\''s'");
  assert.equal(shellWord("-oProxyCommand=x"), "'-oProxyCommand=x'");
});
