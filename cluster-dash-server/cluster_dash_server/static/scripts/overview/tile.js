// Draws one GPU of a host's row: shade = busy, bar = memory held, user; or its power, temperature and what slows it.

import { make, setAttribute, setClass, setStyle, setText } from "./dom.js";
import { spokenGpu } from "./explain.js";
import { isHot } from "./fleet.js";
import { MISSING, percent, printable, share, shortDuration } from "./wording.js";

/**
 * @typedef {import("./fleet.js").Gpu} Gpu
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {{ look: "work" | "power", ageS: number }} How
 */

const SHADES = 5;
const NAMED = { lost: "lost", hung: "hung" };

export function makeTile() {
  const tile = make("button", "tile", make("span", "who"), " ", make("span", "num"), make("i", "held"));
  tile.type = "button";
  tile.tabIndex = -1;
  return tile;
}

/** @param {Element} element @param {Gpu} gpu @param {How} how @param {boolean | null} isMeant null: no GPU is picked */
export function drawTile(element, gpu, how, isMeant) {
  const [who, num, held] = /** @type {[HTMLElement, HTMLElement, HTMLElement]} */ ([...element.children]);
  const [first, second] = how.look === "power" ? powerWords(gpu) : workWords(gpu, how.ageS);
  setText(who, first);
  setText(num, second);
  setClass(element, classesOf(gpu, how.look, isMeant));
  setAttribute(element, "aria-label", spokenGpu(gpu, `${first} ${second}`.trim()));
  const filled = how.look === "work" ? share(gpu.mem) : null;
  setStyle(held, "--share", filled === null || gpu.is in NAMED ? "0%" : `${filled.toFixed(1)}%`);
}

/** @param {Gpu} gpu @param {"work" | "power"} look @param {boolean | null} isMeant */
function classesOf(gpu, look, isMeant) {
  const full = look === "power" ? share(gpu.power) : gpu.util;
  const isShaded = full != null && (gpu.is === "busy" || (look === "power" && !(gpu.is in NAMED)));
  const names = ["tile", gpu.is];
  if (isShaded) names.push(`u${Math.min(SHADES - 1, Math.floor((full ?? 0) / (100 / SHADES)))}`);
  if (look === "power" && !(gpu.is in NAMED) && gpu.is !== "off" && (gpu.throttled?.length || isHot(gpu))) names.push("strained");
  if (gpu.mig?.length) names.push("mig");
  if (isMeant !== null) names.push(isMeant ? "meant" : "dimmed");
  return names.join(" ");
}

/** @param {Gpu} gpu @param {number} ageS @returns {[string, string]} */
function workWords(gpu, ageS) {
  switch (gpu.is) {
    case "lost": return ["✕ lost", ""];
    case "hung": return ["hung", ""];
    case "error": return ["error", gpu.util == null ? "!" : percent(gpu.util)];
    case "free": return ["free", ""];
    case "idle": return [whoOf(gpu), `idle ${gpu.idle_s == null ? "" : shortDuration(gpu.idle_s + ageS)}`.trim()];
    case "unknown": return [gpu.users?.length || gpu.mig?.length ? whoOf(gpu) : "?", busyWords(gpu)];
    default: return [whoOf(gpu), busyWords(gpu)];
  }
}

/** Of a GPU in parts no utilisation is known. @param {Gpu} gpu */
const busyWords = (gpu) => (gpu.util == null && gpu.mig?.length ? `${gpu.mig.length} × MIG` : percent(gpu.util));

/** @param {Gpu} gpu */
function whoOf(gpu) {
  const [first, ...others] = gpu.users ?? [];
  if (first === undefined) return gpu.is === "off" || gpu.is === "unknown" ? MISSING : gpu.mig?.length ? "nobody" : "in use";
  return others.length ? `${printable(first)} +${others.length}` : printable(first);
}

/** @param {Gpu} gpu @returns {[string, string]} */
function powerWords(gpu) {
  if (gpu.is === "lost") return ["✕ lost", ""];
  if (gpu.is === "hung") return ["hung", ""];
  const watts = gpu.power?.[0] == null ? MISSING : `${Math.round(gpu.power[0])} W`;
  const degrees = gpu.temp == null ? MISSING : `${Math.round(gpu.temp)} °C`;
  const sign = gpu.is === "off" ? "" : gpu.throttled?.length ? "▼" : isHot(gpu) ? "▲" : "";
  return [watts, `${sign} ${degrees}`.trim()];
}
