// Takes /data-out/gpu-data-simple, gives a stacked bar per GPU: memory by user, memory of no known process, free memory.

import { ask, every, showAnswered, showLost } from "./freshness.js";
import { printable } from "./overview/wording.js";
import { colours, draw, escaped, onThemeChange, shortened } from "./plot.js";

const LEAST_TOTAL_MIB = 3000; // smaller cards only drive a screen
const OLD_AFTER_S = 600;
const OLD_OPACITY = 0.35;
const LONGEST_LABEL = 30;
const MOST_USERS = 30; // with a colour of their own; the others share one
const AGE_SHOWN_FROM_MIN = 1;
const BAR_HEIGHT_PX = 26;
const MIB_PER_GIB = 1024;

const isReadable = (gpu) => gpu.name !== "error" && (gpu.state ?? "ok") === "ok" && gpu.total_mem != null && gpu.used_mem != null;

/** One row per GPU: `byUser` maps a user to MiB. */
function rowsOf(hosts) {
  const rows = [];
  const notes = [];
  for (const host of Object.keys(hosts).sort()) {
    for (const [id, gpu] of Object.entries(hosts[host])) {
      if (!isReadable(gpu)) {
        const what = `${id === "gpu_error" ? "" : `GPU ${gpu.index ?? id} `}${gpu.state ?? "error"}: ${gpu.error ?? "not readable"}`;
        notes.push(printable(`${host}: ${what}`));
      } else if (gpu.total_mem > LEAST_TOTAL_MIB) {
        rows.push({
          name: printable(`${host}-${id}`),
          label: printable(`${shortened(host, LONGEST_LABEL - 5)} · ${gpu.index ?? id}`),
          gpu,
          byUser: memoryByUser(gpu.users ?? {}),
          old: gpu.received_timestamp > OLD_AFTER_S,
          age: gpu.time_received_mins >= AGE_SHOWN_FROM_MIN ? ` (${gpu.time_received_mins} min ago)` : "",
        });
      }
    }
  }
  return { rows, notes };
}

function memoryByUser(users) {
  const byUser = new Map();
  for (const [user, processes] of Object.entries(users)) {
    const sizes = Object.values(processes).map((process) => process.mem).filter((mem) => mem != null);
    const name = printable(user); // which two may share
    if (sizes.length > 0) byUser.set(name, sizes.reduce((sum, mem) => sum + mem, byUser.get(name) ?? 0));
  }
  return byUser;
}

function trace(name, rows, sizes, colour) {
  return {
    type: "bar", orientation: "h", name: escaped(name),
    x: sizes.map((mib) => Math.max(0, mib) / MIB_PER_GIB),
    y: rows.map((_, index) => index),
    customdata: rows.map((row) => escaped(shortened(row.name, 120))),
    hovertemplate: "%{customdata}<br>%{x:.1f} GiB<extra>%{fullData.name}</extra>",
    marker: { opacity: rows.map((row) => (row.old ? OLD_OPACITY : 1)), ...(colour ? { color: colour } : {}) },
  };
}

/** [user, MiB over all GPUs], the most first. */
function usersOf(rows) {
  const sums = new Map();
  for (const row of rows) {
    for (const [user, mib] of row.byUser) sums.set(user, (sums.get(user) ?? 0) + mib);
  }
  return [...sums].sort(([a, mibA], [b, mibB]) => mibB - mibA || a.localeCompare(b));
}

function figureOf(rows) {
  const users = usersOf(rows);
  const named = users.slice(0, MOST_USERS);
  const others = users.slice(MOST_USERS).map(([user]) => user);
  const sum = (row, names) => names.reduce((total, name) => total + (row.byUser.get(name) ?? 0), 0);
  const known = (row) => [...row.byUser.values()].reduce((total, mib) => total + mib, 0);
  const { dim, second, others: othersColour } = colours();
  const height = BAR_HEIGHT_PX * rows.length;
  const inGib = (mib) => `${Math.round(mib / MIB_PER_GIB)} GiB`;
  return {
    data: [
      ...named.map(([user, mib]) => trace(`${shortened(user, LONGEST_LABEL)} ${inGib(mib)}`, rows, rows.map((row) => row.byUser.get(user) ?? 0))),
      ...(others.length > 0 ? [trace(`${others.length} other users`, rows, rows.map((row) => sum(row, others)), othersColour)] : []),
      trace("no known process", rows, rows.map((row) => row.gpu.used_mem - known(row)), dim),
      trace("free", rows, rows.map((row) => row.gpu.total_mem - row.gpu.used_mem), second),
    ],
    layout: {
      barmode: "stack",
      bargap: 0.25,
      height: height + 130,
      xaxis: { title: { text: "GiB" }, side: "top" },
      yaxis: {
        tickvals: rows.map((_, index) => index),
        ticktext: rows.map((row) => escaped(row.label + row.age)),
        range: [rows.length - 0.5, -0.5],
        automargin: true,
      },
      // Just below the last bar, however many there are: a legend's place is a share of the plot's height.
      legend: { orientation: "h", y: -12 / height, yanchor: "top", traceorder: "normal" },
      margin: { l: 60, r: 16, t: 50, b: 70 },
    },
  };
}

let latest = {};

function show() {
  const { rows, notes } = rowsOf(latest);
  document.getElementById("notes").replaceChildren(
    ...notes.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
  );
  document.getElementById("empty").hidden = rows.length > 0;
  document.getElementById("chart").parentElement.hidden = rows.length === 0;
  if (rows.length > 0) draw(document.getElementById("chart"), figureOf(rows));
}

async function refresh() {
  const response = await ask("/data-out/gpu-data-simple", "application/json");
  latest = await response.json();
  show();
}

onThemeChange(show);
refresh().catch(showLost);
every(refresh, showAnswered, showLost);
