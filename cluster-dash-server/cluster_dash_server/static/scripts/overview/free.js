// Takes the fleet and what somebody needs, gives the hosts that have it free, best first, each with the line to paste.

import { hasProblem } from "./fleet.js";

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./fleet.js").Gpu} Gpu
 * @typedef {{ host: Host, gpus: Gpu[], free: number, quiet_s: number | null }} Place
 */

/** @param {Gpu} gpu */
const roomOf = (gpu) => (gpu.mem?.[0] == null || gpu.mem[1] == null ? null : gpu.mem[1] - gpu.mem[0]);

/** @param {Gpu} a @param {Gpu} b */
const byIndex = (a, b) => (a.i ?? Infinity) - (b.i ?? Infinity);

/**
 * Of hosts that are up and tell what their GPUs do. First those without a problem, then who leaves the fewest free
 * GPUs over, so that large jobs find room later, then who has been quiet the longest.
 * @param {Iterable<Host>} hosts @param {number} count @param {number} gib per GPU @returns {Place[]}
 */
export function placesFor(hosts, count, gib) {
  /** @type {Place[]} */
  const places = [];
  for (const host of hosts) {
    if (host.is !== "up") continue;
    const fitting = host.gpus.filter((gpu) => gpu.is === "free" && (gib <= 0 || (roomOf(gpu) ?? 0) >= gib));
    if (fitting.length < count || count < 1) continue;
    const gpus = [...fitting].sort((a, b) => (b.since_s ?? 0) - (a.since_s ?? 0) || byIndex(a, b)).slice(0, count).sort(byIndex);
    const quiet = gpus.map((gpu) => gpu.since_s ?? null);
    places.push({ host, gpus, free: fitting.length, quiet_s: quiet.includes(null) ? null : Math.min(.../** @type {number[]} */ (quiet)) });
  }
  const troubled = (/** @type {Place} */ place) => Number(hasProblem(place.host));
  return places.sort((a, b) => troubled(a) - troubled(b) || a.free - b.free || (b.quiet_s ?? -1) - (a.quiet_s ?? -1) || (a.host.name < b.host.name ? -1 : 1));
}

/** Whole UUIDs where all are known: an index means another GPU once one is lost. @param {Gpu[]} gpus */
export function visibleDevices(gpus) {
  const uuids = gpus.map((gpu) => gpu.uuid).filter((uuid) => uuid && /^[\w-]+$/.test(uuid));
  return (uuids.length === gpus.length ? uuids : gpus.map((gpu) => gpu.i)).join(",");
}

/** A host's name as one word of a shell, whatever it holds. @param {string} name */
export function shellWord(name) {
  return /^[\w.@:/-]+$/.test(name) && !name.startsWith("-") ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
