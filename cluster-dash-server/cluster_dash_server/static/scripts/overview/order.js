// Takes the fleet and the view, gives the list as it is drawn: heads of groups and hosts, in order.

import { ageOf, byName, countOf, hasProblem, isBad, meanUtil } from "./fleet.js";
import { modelName, share } from "./wording.js";

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./fleet.js").Fleet} Fleet
 * @typedef {import("./fleet.js").User} User
 * @typedef {import("./filter.js").Hit} Hit
 * @typedef {import("./view.js").View} View
 * @typedef {{ kind: "host", key: string, host: Host, hit: Hit }} HostItem
 * @typedef {{ hosts: number, up: number, gpus: number, busy: number, idle: number, free: number, bad: number, rest: number }} Sums
 * @typedef {{ kind: "group", key: string, label: string, sums: Sums }} GroupItem
 * @typedef {HostItem | GroupItem} Item
 * @typedef {{ items: Item[], hosts: number, gpus: number | null }} Arranged  how many are shown; gpus where the filter picks some
 */

/** @type {Record<string, (host: Host, nowMs: number) => number | null | undefined>} */
const KEYS = {
  age: ageOf,
  free: (host) => (host.gpus.length ? countOf(host, "free") : null),
  gpus: (host) => host.gpus.length,
  util: (host) => (host.is === "up" ? meanUtil(host) : null),
  cpu: (host) => (host.is === "up" ? host.cpu : null),
  mem: (host) => (host.is === "up" ? share(host.mem) : null),
  disk: (host) => host.disk?.percent,
  problems: severity,
};

/** @type {Record<string, (user: User) => number | null>} */
const USER_KEYS = { gpus: (user) => user.gpus, idle: (user) => user.idle, mem: (user) => user.mem_gib, util: (user) => user.util };

const STATES = { offline: 5, stale: 3, silent: 4, up: 0 };

/** How much a person should look at it. @param {Host} host */
export function severity(host) {
  const bad = host.gpus.filter(isBad).length;
  const notes = host.notes.some((note) => note.level === "bad") ? 2 : host.notes.some((note) => note.level === "warn") ? 1 : 0;
  return STATES[host.is] * 100 + (bad ? 250 + bad : 0) + notes * 40;
}

/** @param {Fleet} fleet @param {View} view @param {(host: Host, nowMs: number) => Hit | null} test @param {number} nowMs @returns {Arranged} */
export function arrange(fleet, view, test, nowMs) {
  /** @type {HostItem[]} */
  const shown = [];
  let gpus = 0;
  let picks = false;
  for (const host of fleet.hosts.values()) {
    const hit = test(host, nowMs);
    if (hit === null) continue;
    picks ||= hit.gpus !== null;
    gpus += hit.gpus === null ? host.gpus.length : hit.gpus.size;
    shown.push({ kind: "host", key: host.name, host, hit });
  }
  const sorted = sortHosts(shown, view, fleet.ranks, nowMs);
  const items = view.group === "none" ? sorted : grouped(sorted, view.group);
  return { items, hosts: shown.length, gpus: picks ? gpus : null };
}

/** Who has no value stands last whichever way it goes; equals by name. @param {HostItem[]} items @param {View} view @param {Map<string, number>} ranks @param {number} nowMs */
function sortHosts(items, view, ranks, nowMs) {
  const sign = view.dir === "asc" ? 1 : -1;
  const rank = (/** @type {HostItem} */ item) => ranks.get(item.key) ?? 0;
  const keyOf = KEYS[view.sort];
  if (!keyOf) return items.sort((a, b) => sign * (rank(a) - rank(b)));
  const keys = new Map(items.map((item) => [item, keyOf(item.host, nowMs) ?? null]));
  return items.sort((a, b) => {
    const [first, second] = [keys.get(a) ?? null, keys.get(b) ?? null];
    if (first === null || second === null) return Number(first === null) - Number(second === null) || rank(a) - rank(b);
    return sign * (first - second) || rank(a) - rank(b);
  });
}

/** Of equals the one with more GPUs first, then by name; who has no value last. @param {User[]} users @param {string} by @param {"asc" | "desc"} dir @returns {User[]} */
export function sortUsers(users, by, dir) {
  const sign = dir === "asc" ? 1 : -1;
  const keyOf = USER_KEYS[by];
  return [...users].sort((a, b) => {
    if (!keyOf) return sign * byName(a.user, b.user);
    const [first, second] = [keyOf(a), keyOf(b)];
    if (first === null || second === null) return Number(first === null) - Number(second === null) || byName(a.user, b.user);
    return sign * (first - second) || b.gpus - a.gpus || (b.mem_gib ?? 0) - (a.mem_gib ?? 0) || byName(a.user, b.user);
  });
}

const STATE_ORDER = ["offline", "silent", "stale", "problems", "up"];

/** @param {HostItem[]} items @param {string} by @returns {Item[]} */
function grouped(items, by) {
  /** @type {Map<string, HostItem[]>} */
  const groups = new Map();
  for (const item of items) {
    const label = groupOf(item.host, by);
    groups.get(label)?.push(item) ?? groups.set(label, [item]);
  }
  return [...groups].sort(([a], [b]) => inOrder(a, b, by)).flatMap(([label, members]) => [
    { kind: /** @type {const} */ ("group"), key: `\u0000${label}`, label, sums: sumsOf(members) },
    ...members,
  ]);
}

/** @param {string} a @param {string} b @param {string} by */
function inOrder(a, b, by) {
  if (by === "state") return STATE_ORDER.indexOf(a) - STATE_ORDER.indexOf(b);
  const last = Number(a === noLabel(by)) - Number(b === noLabel(by));
  return last || a.localeCompare(b, "en", { numeric: true });
}

/** @param {string} by */
const noLabel = (by) => (by === "model" ? "no GPU known" : "no tag");

/** @param {Host} host @param {string} by */
export function groupOf(host, by) {
  if (by === "model") return modelName(host.model) || noLabel(by);
  if (by === "state") return host.is === "up" && hasProblem(host) ? "problems" : host.is;
  if (by === "tag") return host.tags[0] ?? noLabel(by);
  const key = by.slice("tag:".length);
  return host.tags.find((tag) => tag === key || tagKey(tag) === key) ?? noLabel(by);
}

/** rack-3, rack:3 and rack=3 are racks. @param {string} tag */
export const tagKey = (tag) => /^([^:=]+)[:=]./.exec(tag)?.[1] ?? /^(.+?)[-_ ]?\d+$/.exec(tag)?.[1] ?? "";

/** @param {HostItem[]} members @returns {Sums} */
function sumsOf(members) {
  const sums = { hosts: members.length, up: 0, gpus: 0, busy: 0, idle: 0, free: 0, bad: 0, rest: 0 };
  for (const { host } of members) {
    sums.up += Number(host.is === "up");
    sums.gpus += host.gpus.length;
    for (const gpu of host.gpus) {
      if (gpu.is === "busy" || gpu.is === "idle" || gpu.is === "free") sums[gpu.is] += 1;
      else if (isBad(gpu)) sums.bad += 1;
      else sums.rest += 1;
    }
  }
  return sums;
}

/** What hosts can be grouped by: keys that at least two tags share. @param {Iterable<Host>} hosts @returns {string[]} */
export function tagKeys(hosts) {
  /** @type {Map<string, Set<string>>} */
  const tags = new Map();
  for (const host of hosts) {
    for (const tag of host.tags) {
      const key = tagKey(tag);
      if (key) tags.get(key)?.add(tag) ?? tags.set(key, new Set([tag]));
    }
  }
  return [...tags].filter(([, members]) => members.size > 1).map(([key]) => key).sort();
}
