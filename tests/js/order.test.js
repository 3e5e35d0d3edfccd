import assert from "node:assert/strict";
import { test } from "node:test";

import { parseFilter } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/filter.js";
import { arrange, severity, sortUsers, tagKey, tagKeys } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/order.js";
import { readView } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/view.js";
import { NOW_MS, fleetOf, free, gpu, hostOf, row } from "./fleet_of.js";

/** @param {ReturnType<typeof fleetOf>} fleet @param {string} search */
function arranged(fleet, search) {
  const view = readView(search);
  return arrange(fleet, view, parseFilter(view.q), NOW_MS);
}

/** @param {ReturnType<typeof fleetOf>} fleet @param {string} search */
const names = (fleet, search) => arranged(fleet, search).items.map((item) => (item.kind === "host" ? item.key : `[${item.label}]`)).join(" ");

const fleet = fleetOf(
  row("gpu10", { cpu: 5, age_s: 9, gpus: [free(0), free(1)], tags: ["rack-2"] }),
  row("gpu2", { cpu: 80, age_s: 1, gpus: [gpu(0), gpu(1)], tags: ["rack-1"] }),
  row("login", { cpu: 30, age_s: 4, gpus: [], model: null, tags: [] }),
  row("dark", { is: "silent", age_s: null, cpu: null, mem: null, disk: null, gpus: [], model: null, tags: [] }),
  row("a100", { cpu: 50, age_s: 3, gpus: [gpu(0, { is: "lost" }), free(1)], model: "A100", tags: ["rack-1", "vision"] }),
);

test("names are counted as a person counts", () => {
  assert.equal(names(fleet, ""), "a100 dark gpu2 gpu10 login");
  assert.equal(names(fleet, "?dir=desc"), "login gpu10 gpu2 dark a100");
});

test("who has no value stands last whichever way it goes", () => {
  assert.equal(names(fleet, "?sort=cpu"), "gpu2 a100 login gpu10 dark");
  assert.equal(names(fleet, "?sort=cpu&dir=asc"), "gpu10 login a100 gpu2 dark");
  assert.equal(names(fleet, "?sort=age"), "gpu2 a100 login gpu10 dark");
  assert.equal(names(fleet, "?sort=free"), "gpu10 a100 gpu2 dark login");
});

test("problems come first, the worst of them before", () => {
  assert.equal(names(fleet, "?sort=problems"), "dark a100 gpu2 gpu10 login");
  const offline = hostOf(row("x", { is: "offline" }));
  assert.ok(severity(offline) > severity(hostOf(row("x", { is: "stale" }))));
  assert.equal(severity(hostOf(row("x"))), 0);
});

test("groups have a head with their sums", () => {
  assert.equal(names(fleet, "?group=tag"), "[rack-1] a100 gpu2 [rack-2] gpu10 [no tag] dark login");
  assert.equal(names(fleet, "?group=model"), "[A100] a100 [H100 80GB HBM3] gpu2 gpu10 [no GPU known] dark login");
  assert.equal(names(fleet, "?group=state"), "[silent] dark [problems] a100 [up] gpu2 gpu10 login");
  assert.equal(names(fleet, "?group=tag:rack"), "[rack-1] a100 gpu2 [rack-2] gpu10 [no tag] dark login");
  const head = arranged(fleet, "?group=tag").items[0];
  assert.ok(head?.kind === "group");
  assert.deepEqual(head.sums, { hosts: 2, up: 2, gpus: 4, busy: 2, idle: 0, free: 1, bad: 1, rest: 0 });
});

test("what is shown is counted, GPUs where the filter picks some", () => {
  assert.deepEqual([arranged(fleet, "?q=free").hosts, arranged(fleet, "?q=free").gpus], [2, 3]);
  assert.deepEqual([arranged(fleet, "?q=gpu").hosts, arranged(fleet, "?q=gpu").gpus], [2, null]);
});

test("tags of one kind are found", () => {
  assert.deepEqual(["rack-3", "rack:3", "rack=b", "vision", "4"].map(tagKey), ["rack", "rack", "rack", "", ""]);
  assert.deepEqual(tagKeys(fleet.hosts.values()), ["rack"]);
});

test("users are sorted by each head both ways, who has no value last", () => {
  const user = (/** @type {string} */ name, /** @type {number} */ gpus, /** @type {number} */ idle, /** @type {number | null} */ util) => ({ user: name, gpus, idle, util, mem_gib: gpus * 10, hosts: 1 });
  const users = [user("mira", 4, 0, 90), user("bob", 8, 2, null), user("u10", 1, 1, 5), user("u9", 4, 2, 40)];
  const by = (/** @type {string} */ sort, /** @type {"asc" | "desc"} */ dir) => sortUsers(users, sort, dir).map((each) => each.user).join(" ");
  assert.equal(by("gpus", "desc"), "bob mira u9 u10");
  assert.equal(by("name", "asc"), "bob mira u9 u10");
  assert.equal(by("name", "desc"), "u10 u9 mira bob");
  assert.equal(by("idle", "desc"), "bob u9 u10 mira");
  assert.equal(by("mem", "asc"), "u10 mira u9 bob");
  assert.deepEqual([by("util", "desc"), by("util", "asc")], ["mira u9 u10 bob", "u10 u9 mira bob"]);
});
