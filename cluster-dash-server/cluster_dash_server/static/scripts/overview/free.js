// Takes the fleet and what somebody needs, gives the hosts that have it free, best first, each with the line to paste.

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./fleet.js").Gpu} Gpu
 * @typedef {{ host: Host, gpus: Gpu[], free: number, quiet_s: number | null }} Place
 */

const QUIET_S = 600;

/** @param {Gpu} gpu */
const roomOf = (gpu) => (gpu.mem?.[0] == null || gpu.mem[1] == null ? null : gpu.mem[1] - gpu.mem[0]);

/** @param {Gpu} a @param {Gpu} b */
const byIndex = (a, b) => (a.i ?? Infinity) - (b.i ?? Infinity);

/**
 * Of hosts that are up, GPUs of one model. The order is that of /free.txt: first who has been quiet for ten minutes, before
 * which it may be the pause between two jobs; then who leaves the fewest free GPUs over, so that large jobs find room
 * later; then who has been quiet the longest. Instances of split GPUs are in /free.txt alone.
 * @param {Iterable<Host>} hosts @param {number} count @param {number} gib per GPU @returns {Place[]}
 */
export function placesFor(hosts, count, gib) {
  /** @type {Place[]} */
  const places = [];
  for (const host of hosts) if (host.is === "up" && count >= 1) places.push(...placesOn(host, count, gib));
  return places.sort(
    (a, b) => isRestless(a) - isRestless(b) || a.free - b.free || (b.quiet_s ?? -1) - (a.quiet_s ?? -1) || (a.host.name < b.host.name ? -1 : 1),
  );
}

/** @param {Place} place */
const isRestless = (place) => Number((place.quiet_s ?? 0) < QUIET_S);

/** @param {Host} host @param {number} count @param {number} gib @returns {Place[]} */
function placesOn(host, count, gib) {
  const free = host.gpus.filter((gpu) => gpu.is === "free" && !gpu.mig?.length);
  const fitting = free.filter((gpu) => gib <= 0 || (roomOf(gpu) ?? 0) >= gib);
  /** @type {Place[]} */
  const places = [];
  for (const model of new Set(fitting.map((gpu) => gpu.model))) {
    const alike = fitting.filter((gpu) => gpu.model === model).sort((a, b) => (b.since_s ?? 0) - (a.since_s ?? 0) || byIndex(a, b));
    if (alike.length < count) continue;
    const gpus = alike.slice(0, count);
    places.push({ host, free: free.length, quiet_s: gpus.at(-1)?.since_s ?? null, gpus: gpus.sort(byIndex) });
  }
  return places;
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
