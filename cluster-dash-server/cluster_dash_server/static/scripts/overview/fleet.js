// Takes the stream's messages, gives the fleet as it is now: a row per host, totals, users. Knows no page.

/**
 * @typedef {"free" | "busy" | "idle" | "lost" | "hung" | "error" | "unknown" | "off"} GpuState
 * @typedef {[number | null, number | null]} Pair  used or now, and how much there is
 * @typedef {{ name: string, used_mib: number | null, total_mib: number | null, uuid?: string | null }} Mig  an instance; `uuid` where it is free
 * @typedef {object} Gpu
 * @property {number | null} i  its index; null where the driver has none for it
 * @property {GpuState} is
 * @property {string | null} [model]  where it isn't the host's
 * @property {number | null} [util]  percent
 * @property {Pair | null} [mem]  GiB
 * @property {Pair | null} [power]  W, and its limit
 * @property {number | null} [temp]  degrees Celsius
 * @property {string[]} [throttled]
 * @property {number} [sm]  percent of the multiprocessors that worked, where its driver tells
 * @property {number} [tensor]  percent of the tensor cores
 * @property {number} [dram]  percent of its memory's bandwidth
 * @property {string[]} [users]
 * @property {number | null} [since_s]  in this state
 * @property {number | null} [idle_s]  without work, where memory is held
 * @property {string | null} [why]
 * @property {string | null} [todo]
 * @property {Mig[]} [mig]
 * @property {string | null} [uuid]
 *
 * @typedef {{ kind: string, level: "bad" | "warn" | "info", text: string, since_s?: number | null, told_since?: string, todo?: string | null }} Note  `told_since`: by the mole, in its host's time
 * @typedef {"up" | "stale" | "offline" | "silent"} HostState
 * @typedef {object} Row
 * @property {string} name
 * @property {HostState} is
 * @property {number | null} [age_s]  of its newest post, when the message was written
 * @property {number | null} [every_s]
 * @property {number | null} [seen]  Unix seconds of its newest post, by the server's clock
 * @property {string | null} [model]
 * @property {string[]} [tags]
 * @property {number | null} [cpu]
 * @property {number | null} [cpus]
 * @property {number | null} [load]
 * @property {Pair | null} [mem]
 * @property {{ mount: string, percent: number | null, stale?: boolean } | null} [disk]
 * @property {Pair | null} [net]
 * @property {(number | null)[] | null} [spark]
 * @property {"gpu" | "cpu"} [spark_of]
 * @property {Note[]} [notes]
 * @property {Gpu[]} [gpus]
 *
 * @typedef {Row & { gpus: Gpu[], notes: Note[], tags: string[], at: number | null }} Host  `at`: when it posted, in ms of this browser
 * @typedef {{ user: string, gpus: number, mem_gib: number | null, util: number | null, idle: number, hosts: number }} User
 * @typedef {{ hosts: number, up: number, stale: number, offline: number, silent: number, gpus: number, busy: number, idle: number,
 *   free: number, off: number, bad: number, unknown: number, power_w: number | null }} Totals
 * @typedef {object} Message
 * @property {number} version
 * @property {boolean} full
 * @property {number} now
 * @property {Record<string, unknown>} [settings]
 * @property {Totals} [totals]
 * @property {User[]} [users]
 * @property {Row[]} hosts
 * @property {string[]} [gone]
 * @property {number} [pending]  hosts that are still to come, and in no total yet
 */

const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

export class Fleet {
  constructor() {
    /** @type {Map<string, Host>} */
    this.hosts = new Map();
    /** @type {Totals | null} null until the server has said anything */
    this.totals = null;
    /** @type {User[]} */
    this.users = [];
    /** @type {Record<string, unknown>} */
    this.settings = {};
    this.pending = 0;
    this.version = -1;
    this.serverNow = 0;
    /** @type {Map<string, number> | null} */
    this._ranks = null;
  }

  /** A full message replaces all, another one only what it names. @param {Message} message @param {number} nowMs */
  apply(message, nowMs) {
    const names = this.hosts.size;
    if (message.full) this.hosts = new Map();
    let added = message.full;
    for (const row of message.hosts) {
      added ||= !this.hosts.has(row.name);
      this.hosts.set(row.name, hostOf(row, nowMs));
    }
    for (const name of message.gone ?? []) this.hosts.delete(name);
    if (added || this.hosts.size !== names) this._ranks = null;
    this.totals = message.totals ?? this.totals;
    this.users = message.users ?? this.users;
    this.settings = message.settings ?? this.settings;
    this.pending = message.pending ?? 0;
    this.version = message.version;
    this.serverNow = message.now;
  }

  /** The same fleet as one full message, with the ages of now. @param {number} nowMs @returns {Message} */
  snapshot(nowMs) {
    const hosts = [...this.hosts.values()].map((host) => ({ ...host, age_s: ageOf(host, nowMs) }));
    return {
      version: this.version, full: true, now: this.serverNow, settings: this.settings,
      totals: this.totals ?? undefined, users: this.users, hosts, pending: this.pending,
    };
  }

  /** Place by name as a person counts: gpu2 before gpu10. @returns {Map<string, number>} */
  get ranks() {
    this._ranks ??= new Map([...this.hosts.keys()].sort(byName).map((name, rank) => [name, rank]));
    return this._ranks;
  }

  /** Seconds since any host posted; null where none has. @param {number} nowMs */
  newestAge(nowMs) {
    let newest = -Infinity;
    for (const host of this.hosts.values()) if (host.at != null && host.at > newest) newest = host.at;
    return newest === -Infinity ? null : Math.max(0, (nowMs - newest) / 1000);
  }
}

/** @param {string} a @param {string} b */
export function byName(a, b) {
  return COLLATOR.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** @param {Row} row @param {number} nowMs @returns {Host} */
function hostOf(row, nowMs) {
  return {
    ...row,
    gpus: row.gpus ?? [],
    notes: row.notes ?? [],
    tags: row.tags ?? [],
    at: row.age_s == null ? null : nowMs - row.age_s * 1000,
  };
}

/** Seconds since it posted; null where it never has. @param {Host} host @param {number} nowMs */
export function ageOf(host, nowMs) {
  return host.at == null ? null : Math.max(0, (nowMs - host.at) / 1000);
}

const BAD = new Set(["lost", "hung", "error"]);

/** @param {Gpu} gpu */
export const isBad = (gpu) => BAD.has(gpu.is);

const HOT_FROM_C = 85; // below where data-centre cards slow down, at 87 to 92

/** By the card's own word, else by a temperature that is too much for any; idle or not. @param {Gpu} gpu */
export function isHot(gpu) {
  return (gpu.throttled ?? []).some((reason) => reason.startsWith("too hot")) || (gpu.temp ?? 0) >= HOT_FROM_C;
}

/** Whether a person should look at it: not up, something wrong with a GPU, or a note that is more than information. @param {Host} host */
export function hasProblem(host) {
  return host.is !== "up" || host.notes.some((note) => note.level !== "info") || host.gpus.some(isBad);
}

/** Of the GPUs that tell it; null where none does. @param {Host} host */
export function meanUtil(host) {
  const known = host.gpus.filter((gpu) => gpu.util != null && gpu.is !== "off");
  return known.length ? known.reduce((sum, gpu) => sum + (gpu.util ?? 0), 0) / known.length : null;
}

/** @param {Host} host @param {GpuState} is */
export function countOf(host, is) {
  return host.gpus.reduce((count, gpu) => count + Number(gpu.is === is), 0);
}
