// Takes /data-out/gpu-data-simple, gives a stacked bar per GPU: memory by user, memory of no known process, free memory.

import { every, showAnswered, showLost } from "./freshness.js";
import { colours, draw, escaped, onThemeChange, shortened } from "./plot.js";

const LEAST_TOTAL_MIB = 3000; // smaller cards only drive a screen
const OLD_AFTER_S = 600;
const OLD_OPACITY = 0.35;
const LONGEST_LABEL = 30;
const LONGEST_HOST = 18;
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
        notes.push(`${host}: ${id === "gpu_error" ? "" : `GPU ${gpu.index ?? id} `}${gpu.state ?? "error"}: ${gpu.error ?? "not readable"}`);
      } else if (gpu.total_mem > LEAST_TOTAL_MIB) {
        rows.push({ name: `${host}-${id}`, label: shortened(`${shortened(host, LONGEST_HOST)}-${id}`, LONGEST_LABEL), gpu, byUser: memoryByUser(gpu.users ?? {}), old: gpu.received_timestamp > OLD_AFTER_S });
      }
    }
  }
  return { rows, notes };
}

function memoryByUser(users) {
  const byUser = new Map();
  for (const [user, processes] of Object.entries(users)) {
    const sizes = Object.values(processes).map((process) => process.mem).filter((mem) => mem != null);
    if (sizes.length > 0) byUser.set(user, sizes.reduce((sum, mem) => sum + mem, 0));
  }
  return byUser;
}

function trace(name, rows, sizes, colour) {
  return {
    type: "bar", orientation: "h", name: escaped(shortened(name, LONGEST_LABEL)),
    x: sizes.map((mib) => Math.max(0, mib) / MIB_PER_GIB),
    y: rows.map((_, index) => index),
    customdata: rows.map((row) => escaped(shortened(row.name, 120))),
    hovertemplate: "%{customdata}<br>%{x:.1f} GiB<extra>%{fullData.name}</extra>",
    marker: { opacity: rows.map((row) => (row.old ? OLD_OPACITY : 1)), ...(colour ? { color: colour } : {}) },
  };
}

function figureOf(rows) {
  const users = [...new Set(rows.flatMap((row) => [...row.byUser.keys()]))].sort();
  const known = (row) => [...row.byUser.values()].reduce((sum, mib) => sum + mib, 0);
  const { dim, second } = colours();
  return {
    data: [
      ...users.map((user) => trace(user, rows, rows.map((row) => row.byUser.get(user) ?? 0))),
      trace("no known process", rows, rows.map((row) => row.gpu.used_mem - known(row)), dim),
      trace("free", rows, rows.map((row) => row.gpu.total_mem - row.gpu.used_mem), second),
    ],
    layout: {
      barmode: "stack",
      bargap: 0.25,
      height: 110 + BAR_HEIGHT_PX * rows.length,
      xaxis: { title: { text: "GiB" } },
      yaxis: {
        tickvals: rows.map((_, index) => index),
        ticktext: rows.map((row) => escaped(row.label) + (row.old ? ` (${row.gpu.time_received_mins} min ago)` : "")),
        range: [rows.length - 0.5, -0.5],
        automargin: true,
      },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", traceorder: "normal" },
      margin: { l: 60, r: 16, t: 40, b: 44 },
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
  const response = await fetch("/data-out/gpu-data-simple");
  if (!response.ok) throw new Error(String(response.status));
  latest = await response.json();
  show();
}

onThemeChange(show);
refresh().catch(showLost);
every(refresh, showAnswered, showLost);
