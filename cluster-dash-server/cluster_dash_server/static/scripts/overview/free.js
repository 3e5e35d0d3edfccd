// Takes the fleet and what somebody needs, gives the hosts that have it free, best first, each with the line to paste.

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./fleet.js").Gpu} Gpu
 * @typedef {import("./fleet.js").Mig} Mig
 * @typedef {{ host: Host, gpus: Gpu[], instance: Mig | null, free: number, quiet_s: number | null }} Place  `instance`: of a split GPU, to be taken in its place; `free`: such that are free there, with those that are meant
 */

const QUIET_S = 600;
const MIB_PER_GIB = 1024;
const UUID = /^(GPU|MIG)-[0-9A-Za-z/-]{1,200}$/; // what is safe in a shell

/** @param {Gpu} gpu */
const roomOf = (gpu) => (gpu.mem?.[0] == null || gpu.mem[1] == null ? null : gpu.mem[1] - gpu.mem[0]);

/** @param {Gpu} a @param {Gpu} b */
const byIndex = (a, b) => (a.i ?? Infinity) - (b.i ?? Infinity);

/**
 * Of hosts that are up, GPUs of one model. The order is that of /free.txt: first who has been quiet for ten minutes, before
 * which it may be the pause between two jobs; then who leaves the fewest free GPUs over, so that large jobs find room
 * later; then who has been quiet the longest. An instance of a split GPU is offered where one GPU is asked for, as CUDA
 * gives a process one instance at most.
 * @param {Iterable<Host>} hosts @param {number} count @param {number} gib per GPU @returns {Place[]}
 */
export function placesFor(hosts, count, gib) {
  /** @type {Place[]} */
  const places = [];
  for (const host of hosts) {
    if (host.is !== "up" || count < 1) continue;
    places.push(...placesOn(host, count, gib));
    if (count === 1) places.push(...instancesOn(host, gib));
  }
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
    places.push({ host, instance: null, free: free.length, quiet_s: gpus.at(-1)?.since_s ?? null, gpus: gpus.sort(byIndex) });
  }
  return places;
}

/** Of each split GPU the smallest instance that fits. @param {Host} host @param {number} gib @returns {Place[]} */
function instancesOn(host, gib) {
  return host.gpus.flatMap((gpu) => {
    const fitting = (gpu.mig ?? []).filter((each) => UUID.test(each.uuid ?? "") && spareMib(each) >= gib * MIB_PER_GIB);
    const [instance] = fitting.sort((a, b) => spareMib(a) - spareMib(b));
    return instance ? [{ host, gpus: [gpu], instance, free: fitting.length, quiet_s: gpu.since_s ?? null }] : [];
  });
}

/** @param {Mig} instance */
const spareMib = (instance) => (instance.total_mib ?? 0) - (instance.used_mib ?? 0);

/**
 * What makes CUDA take these: UUIDs where all are known, as an index means another GPU once one is lost; else indices in the
 * order of the PCI bus, which isn't CUDA's own.
 * @param {Place} place
 */
export function devicesLine({ gpus, instance }) {
  if (instance) return `CUDA_VISIBLE_DEVICES=${instance.uuid}`;
  const uuids = gpus.map((gpu) => gpu.uuid).filter((uuid) => UUID.test(uuid ?? ""));
  if (uuids.length === gpus.length) return `CUDA_VISIBLE_DEVICES=${uuids.join(",")}`;
  return `CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=${gpus.map((gpu) => gpu.i)}`;
}

/** A host's name as one word of a shell, whatever it holds. @param {string} name */
export function shellWord(name) {
  return /^[\w.@:/-]+$/.test(name) && !name.startsWith("-") ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
