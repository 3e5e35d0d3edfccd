// The page of GPU memory by user: asks for /data-out/gpu-data-simple every few seconds and draws it.

import { ask, every, showAnswered, showLost } from "./freshness.js";
import { barsOf, figureOf } from "./gpuMemory.js";
import { byId } from "./overview/dom.js";
import { colours, draw } from "./plot.js";
import { onThemeChange } from "./theme.js";

/** @type {import("./gpuMemory.js").Hosts} */
let latest = {};

function show() {
  const { bars, notes } = barsOf(latest);
  byId("notes").replaceChildren(...notes.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  byId("empty").hidden = bars.length > 0;
  const chart = byId("chart");
  if (chart.parentElement) chart.parentElement.hidden = bars.length === 0;
  if (bars.length > 0) draw(chart, figureOf(bars, colours()));
}

async function refresh() {
  const response = await ask("/data-out/gpu-data-simple", "application/json");
  latest = await response.json();
  show();
}

onThemeChange(show);
refresh().catch(showLost);
every(refresh, showAnswered, showLost);
