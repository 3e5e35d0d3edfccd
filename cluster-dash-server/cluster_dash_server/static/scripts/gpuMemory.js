// Takes /data-out/gpu-data-simple, gives a stacked bar per GPU: memory by user, memory of no known process, free memory.

import { number, printable } from "./overview/wording.js";

/**
 * @typedef {{ mem?: number | null }} Process
 * @typedef {object} Gpu
 * @property {string} [name]
 * @property {string | null} [state]
 * @property {string | null} [error]
 * @property {number | null} [index]
 * @property {number | null} [total_mem]  MiB
 * @property {number | null} [used_mem]  MiB
 * @property {Record<string, Record<string, Process>> | null} [users]  by user, then pid
 * @property {number} [received_timestamp]  seconds since its post
 * @property {number} [time_received_mins]
 * @typedef {Record<string, Record<string, Gpu>>} Hosts  by host, then GPU
 * @typedef {{ name: string, label: string, usedMib: number, totalMib: number, byUser: Map<string, number>, isOld: boolean }} Bar
 * @typedef {{ dim: string, second: string, others: string, ink: string }} Colours
 * @typedef {import("./plot.js").Figure} Figure
 */

const LEAST_TOTAL_MIB = 3000; // smaller cards only drive a screen
const OLD_AFTER_S = 600;
const OLD_OPACITY = 0.35;
const LONGEST_LABEL = 30;
const AGE_SHOWN_FROM_MIN = 1;
const BAR_HEIGHT_PX = 26;
const MIB_PER_GIB = 1024;
const HUES = ["#1f77b4", "#e07b00", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#5c6f7b"];
const PATTERNS = ["", "/", ".", "x"];

/** Users with a look of their own, which no other has; the others share one. */
export const MOST_USERS = HUES.length * PATTERNS.length;

/** Of the users in order of their names, so that somebody's look changes only when another one comes or goes. @param {number} place */
export const lookOf = (place) => ({ colour: HUES[place % HUES.length] ?? "", pattern: PATTERNS[Math.floor(place / HUES.length)] ?? "" });

/** Those that can be drawn, and what is to be said of the others. @param {Hosts} hosts @returns {{ bars: Bar[], notes: string[] }} */
export function barsOf(hosts) {
  /** @type {Bar[]} */
  const bars = [];
  const notes = [];
  for (const host of Object.keys(hosts).sort()) {
    const gpus = Object.entries(hosts[host] ?? {}).sort(([, a], [, b]) => (a.index ?? Infinity) - (b.index ?? Infinity) || 0);
    for (const [id, gpu] of gpus) {
      const { total_mem: totalMib, used_mem: usedMib } = gpu;
      if (gpu.name === "error" || (gpu.state ?? "ok") !== "ok" || totalMib == null || usedMib == null) {
        const what = `${id === "gpu_error" ? "" : `GPU ${gpu.index ?? id} `}${gpu.state ?? "error"}: ${gpu.error ?? "not readable"}`;
        notes.push(printable(`${host}: ${what}`));
      } else if (totalMib > LEAST_TOTAL_MIB) {
        const age = (gpu.time_received_mins ?? 0) >= AGE_SHOWN_FROM_MIN ? ` (${gpu.time_received_mins} min ago)` : "";
        bars.push({
          name: printable(`${host}-${id}`),
          label: printable(`${shortened(host, LONGEST_LABEL - 5)} · ${gpu.index ?? id}${age}`),
          usedMib, totalMib,
          byUser: memoryByUser(gpu.users ?? {}),
          isOld: (gpu.received_timestamp ?? 0) > OLD_AFTER_S,
        });
      }
    }
  }
  return { bars, notes };
}

/** @param {Record<string, Record<string, Process>>} users */
function memoryByUser(users) {
  /** @type {Map<string, number>} */
  const byUser = new Map();
  for (const [user, processes] of Object.entries(users)) {
    const sizes = Object.values(processes).flatMap(({ mem }) => (mem == null ? [] : [mem]));
    const name = printable(user); // which two may share
    if (sizes.length > 0) byUser.set(name, sizes.reduce((sum, mem) => sum + mem, byUser.get(name) ?? 0));
  }
  return byUser;
}

/** [user, MiB over all GPUs], the most first. @param {Bar[]} bars @returns {[string, number][]} */
function usersOf(bars) {
  /** @type {Map<string, number>} */
  const sums = new Map();
  for (const { byUser } of bars) for (const [user, mib] of byUser) sums.set(user, (sums.get(user) ?? 0) + mib);
  return [...sums].sort(([a, mibA], [b, mibB]) => mibB - mibA || a.localeCompare(b));
}

/** @param {Bar[]} bars @param {Colours} colours @returns {Figure} */
export function figureOf(bars, colours) {
  const users = usersOf(bars);
  const named = users.slice(0, MOST_USERS);
  const others = users.slice(MOST_USERS).map(([user]) => user);
  const places = new Map(named.map(([user]) => user).sort().map((user, place) => [user, place]));
  const height = BAR_HEIGHT_PX * bars.length;
  const known = (/** @type {Bar} */ bar) => [...bar.byUser.values()].reduce((total, mib) => total + mib, 0);
  const sumOf = (/** @type {Bar} */ bar) => others.reduce((total, user) => total + (bar.byUser.get(user) ?? 0), 0);
  return {
    data: [
      ...named.map(([user, mib]) => {
        const legend = `${shortened(user, LONGEST_LABEL)} ${number(mib / MIB_PER_GIB)} GiB`;
        return trace(legend, bars, (bar) => bar.byUser.get(user) ?? 0, lookOf(places.get(user) ?? 0), user);
      }),
      ...(others.length > 0 ? [trace(`${others.length} other users`, bars, sumOf, { colour: colours.others, pattern: "" }, "others")] : []),
      trace("no known process", bars, (bar) => bar.usedMib - known(bar), { colour: colours.dim, pattern: "" }),
      trace("free", bars, (bar) => bar.totalMib - bar.usedMib, { colour: colours.second, pattern: "" }),
    ],
    layout: {
      barmode: "stack",
      bargap: 0.25,
      height: height + 130,
      xaxis: { title: { text: "GiB" }, side: "top" },
      yaxis: {
        tickvals: bars.map((_, index) => index),
        ticktext: bars.map((bar) => escaped(bar.label)),
        range: [bars.length - 0.5, -0.5],
        automargin: true,
      },
      uniformtext: { mode: "hide", minsize: 10 },
      // Just below the last bar, however many there are: a legend's place is a share of the plot's height.
      legend: { orientation: "h", y: -12 / height, yanchor: "top", traceorder: "normal" },
      margin: { l: 60, r: 16, t: 50, b: 70 },
    },
  };
}

/** @param {string} name @param {Bar[]} bars @param {(bar: Bar) => number} sizeOf @param {{ colour: string, pattern: string }} look @param {string} [inside] what stands in the bars */
function trace(name, bars, sizeOf, look, inside = "") {
  const sizes = bars.map((bar) => Math.max(0, sizeOf(bar)) / MIB_PER_GIB);
  return {
    type: "bar", orientation: "h", name: escaped(name),
    x: sizes,
    y: bars.map((_, index) => index),
    customdata: bars.map((bar, index) => [escaped(shortened(bar.name, 120)), number(sizes[index])]),
    hovertemplate: "%{customdata[0]}<br>%{customdata[1]} GiB<extra>%{fullData.name}</extra>",
    ...(inside ? { text: sizes.map((size) => (size > 0 ? escaped(shortened(inside, LONGEST_LABEL)) : "")), textposition: "inside", insidetextanchor: "start", textangle: 0 } : {}),
    marker: {
      color: look.colour,
      opacity: bars.map((bar) => (bar.isOld ? OLD_OPACITY : 1)),
      pattern: { shape: look.pattern, fillmode: "overlay", fgcolor: "#fff", fgopacity: 0.5, size: 7 },
    },
  };
}

/** Plotly reads a subset of HTML in every text. @param {string} text */
export function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** @param {string} text @param {number} width */
export function shortened(text, width) {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
