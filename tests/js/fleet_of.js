// Hosts and GPUs for the tests, with everything that isn't asked for as it is on a machine that is well.

import { Fleet } from "../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js";

export const NOW_MS = 1_800_000_000_000;

/** @typedef {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js").Row} Row */
/** @typedef {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js").Gpu} Gpu */
/** @typedef {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js").Message} Message */

/** @param {number} i @param {Partial<Gpu>} [differing] @returns {Gpu} */
export function gpu(i, differing = {}) {
  return {
    i, is: "busy", util: 90, mem: [60, 80], power: [400, 700], temp: 60, throttled: [], users: ["mira"], since_s: 30,
    uuid: `GPU-${i}`, ...differing,
  };
}

/** @param {number} i @param {Partial<Gpu>} [differing] */
export const free = (i, differing = {}) => gpu(i, { is: "free", util: 0, mem: [0.5, 80], users: [], ...differing });

/** @param {string} name @param {Partial<Row>} [differing] @returns {Row} */
export function row(name, differing = {}) {
  return {
    name, is: "up", age_s: 2, every_s: 5, seen: NOW_MS / 1000 - 2, model: "NVIDIA H100 80GB HBM3", tags: ["rack-1"], cpu: 40,
    cpus: 64, load: 10, mem: [100, 200], disk: { mount: "/data", percent: 50 }, spark: [], spark_of: "gpu", notes: [],
    gpus: [gpu(0), free(1)], ...differing,
  };
}

/** @param {Row[]} hosts @param {Partial<Message>} [differing] @returns {Message} */
export function message(hosts, differing = {}) {
  return { version: 1, full: true, now: NOW_MS / 1000, hosts, gone: [], ...differing };
}

/** @param {...Row} rows */
export function fleetOf(...rows) {
  const fleet = new Fleet();
  fleet.apply(message(rows), NOW_MS);
  return fleet;
}

/** @param {Row} each */
export const hostOf = (each) => /** @type {import("../../cluster-dash-server/cluster_dash_server/static/scripts/overview/fleet.js").Host} */ (fleetOf(each).hosts.get(each.name));
