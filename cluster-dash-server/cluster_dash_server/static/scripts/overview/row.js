// Draws a host's row and a group's head. A row is made once and drawn anew when its host is.

import { fill, make, setAttribute, setClass, setStyle, setText } from "./dom.js";
import { ageOf } from "./fleet.js";
import { briefNote } from "./explain.js";
import { GPU_WORDS, HOST_WORDS, stateOf } from "./states.js";
import { drawTile, makeTile } from "./tile.js";
import { amount, counted, duration, modelName, ofGib, percent, printable, share } from "./wording.js";

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./order.js").HostItem} HostItem
 * @typedef {import("./order.js").GroupItem} GroupItem
 * @typedef {{ look: "work" | "power", nowMs: number }} How
 */

const FULL_PERCENT = 90;
const SVG = "http://www.w3.org/2000/svg";
const SPARK_HEIGHT = 24;

/** What decides how high a row is. @param {import("./order.js").Item} item @param {number} tilesPerLine */
export function shapeOf(item, tilesPerLine) {
  if (item.kind === "group") return "group";
  const { host } = item;
  return `${Math.max(1, Math.ceil(host.gpus.length / tilesPerLine))} ${host.notes.length > 0} ${host.gpus.length > 0} ${host.is === "silent"}`;
}

export class HostRow {
  constructor() {
    this.link = make("a");
    this.model = make("small", "model");
    this.notes = make("button", "notes");
    this.notes.type = "button";
    this.notesCell = cell("noted", this.notes);
    this.ago = make("span", "ago");
    this.state = make("span", "is");
    this.tiles = make("div", "tiles");
    this.tiles.setAttribute("role", "group");
    this.none = make("span", "missing");
    this.cpu = new Bar();
    this.memory = new Bar();
    this.disk = new Bar();
    this.spark = new Spark();
    const name = cell("name", this.link, this.model);
    name.setAttribute("role", "rowheader");
    this.element = make(
      "div", "host",
      name,
      cell("age", this.ago, this.state),
      cell("gpus", this.tiles, this.none),
      cell("cpu", this.cpu.element),
      cell("mem", this.memory.element),
      cell("disk", this.disk.element),
      cell("hour", this.spark.element),
      this.notesCell,
    );
    this.element.setAttribute("role", "row");
    this.index = 0;
    /** @type {Host | null} */
    this.host = null;
    /** @type {import("./filter.js").Hit | null} */
    this._hit = null;
    this._look = "";
  }

  /** @param {HostItem} item @param {number} index @param {How} how */
  draw(item, index, how) {
    this.index = index;
    setAttribute(this.element, "aria-rowindex", String(index + 2));
    const isSame = item.host === this.host && sameHit(item.hit, this._hit) && how.look === this._look;
    if (!isSame) this._drawHost(item, how);
    this.tick(how);
  }

  /** @param {HostItem} item @param {How} how */
  _drawHost({ host, hit }, how) {
    this.host = host;
    this._hit = hit;
    this._look = how.look;
    const name = printable(host.name);
    setText(this.link, name);
    setAttribute(this.link, "href", `/host/${encodeURIComponent(host.name)}`);
    setText(this.model, modelWords(host));
    this._drawNotes(host);
    this._drawGpus(host, hit, how);
    const mount = host.disk ? printable(host.disk.mount) + (host.disk.stale ? " doesn't answer" : "") : "";
    this.cpu.draw(host.cpu, "CPU", "", false);
    this.memory.draw(share(host.mem), `memory ${ofGib(host.mem)}`, "", true);
    this.disk.draw(host.disk?.percent, `fullest disk ${mount}`.trim(), mount, true);
    this.spark.draw(host.spark ?? [], host.spark_of ?? "gpu");
    const state = stateOf(host);
    setClass(this.element, `host ${host.is}${state === host.is ? "" : ` ${state}`}${host.notes.some((note) => note.level === "bad") ? " bad" : ""}`);
  }

  /** @param {Host} host */
  _drawNotes(host) {
    const [first] = host.notes;
    this.notesCell.hidden = first === undefined;
    if (first === undefined) return;
    setClass(this.notes, `notes ${host.notes.some((note) => note.level === "bad") ? "bad" : first.level}`);
  }

  /** @param {Host} host @param {import("./filter.js").Hit} hit @param {How} how */
  _drawGpus(host, hit, how) {
    const ageS = 0;
    setAttribute(this.tiles, "aria-label", `GPUs of ${printable(host.name)}`);
    this.tiles.hidden = host.gpus.length === 0;
    this.none.hidden = host.gpus.length > 0;
    if (host.gpus.length === 0) setText(this.none, noGpuWords(host));
    fill(this.tiles, host.gpus, makeTile, (tile, gpu) => {
      drawTile(tile, gpu, { look: how.look, ageS }, hit.gpus === null ? null : hit.gpus.has(gpu));
    });
  }

  /** Ages go on whatever comes. @param {{ nowMs: number }} how */
  tick({ nowMs }) {
    if (!this.host) return;
    const age = ageOf(this.host, nowMs);
    setText(this.ago, age === null ? "" : duration(age));
    const [note, ...others] = this.host.notes;
    if (note) setText(this.notes, briefNote(note, this.host, age) + (others.length ? ` +${others.length}` : ""));
    const state = stateOf(this.host);
    setText(this.state, state === "up" ? "" : (HOST_WORDS[state] ?? state));
  }
}

/** @param {import("./filter.js").Hit} a @param {import("./filter.js").Hit | null} b */
function sameHit(a, b) {
  if (a === b) return true;
  if (b === null || a.gpus === null || b.gpus === null) return b !== null && a.gpus === b.gpus;
  return a.gpus.size === b.gpus.size && [...a.gpus].every((gpu) => b.gpus?.has(gpu));
}

/** @param {Host} host */
function noGpuWords(host) {
  if (host.is === "silent") return "expected, has not reported yet";
  const trouble = host.notes.find((note) => note.kind === "gpu");
  return trouble ? (trouble.text.startsWith("GPUs hung") ? "hung: GPUs not known" : "GPUs not readable") : "no GPU";
}

/** @param {Host} host */
function modelWords(host) {
  if (host.is === "silent") return "";
  if (host.gpus.length === 0) return host.cpus ? counted(host.cpus, "core") : "";
  return `${modelName(host.model) || "GPU"} × ${host.gpus.length}`;
}

/** @param {string} className @param {...Node} children */
function cell(className, ...children) {
  const element = make("div", className, ...children);
  element.setAttribute("role", "cell");
  return element;
}

/** A share in percent with its number; a dash where it isn't known. */
class Bar {
  constructor() {
    this.fill = make("i");
    this.label = make("span");
    this.number = make("b");
    this.element = make("span", "bar", this.fill, this.label, this.number);
  }

  /** @param {number | null | undefined} value @param {string} label @param {string} inside  what it says beside its number @param {boolean} warns */
  draw(value, label, inside, warns) {
    setClass(this.element, value == null ? "bar none" : warns && value >= FULL_PERCENT ? "bar full" : "bar");
    setText(this.label, inside);
    setText(this.number, percent(value));
    setStyle(this.fill, "--share", value == null ? "0%" : `${Math.min(100, Math.max(0, value)).toFixed(1)}%`);
    setAttribute(this.element, "title", value == null ? `${label}: not reported` : label);
  }
}

/** The last hour as a line; a gap where nothing is known. */
class Spark {
  constructor() {
    this.path = document.createElementNS(SVG, "path");
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("class", "spark");
    this.element.setAttribute("viewBox", `-1 -1 61 ${SPARK_HEIGHT + 2}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
    this.element.append(this.path);
  }

  /** @param {(number | null)[]} values @param {string} of */
  draw(values, of) {
    setAttribute(this.path, "d", sparkPath(values));
    const known = values.filter((value) => value !== null);
    const what = of === "cpu" ? "CPU" : "GPUs busy";
    const mean = known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
    setAttribute(this.element, "aria-label", mean === null ? `${what}: nothing known of the last hour` : `${what}, mean of the last hour ${percent(mean)}`);
  }
}

/** @param {(number | null)[]} values */
export function sparkPath(values) {
  let path = "";
  let isDrawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    const y = (SPARK_HEIGHT * (1 - Math.min(100, Math.max(0, value)) / 100)).toFixed(1);
    const isAlone = !isDrawing && values[index + 1] == null;
    path += isAlone ? `M${index - 0.5} ${y}h1` : `${isDrawing ? "L" : "M"}${index} ${y}`;
    isDrawing = true;
  });
  return path;
}

export class GroupRow {
  constructor() {
    this.label = make("b");
    this.sums = make("span");
    const head = make("div", "name", this.label, this.sums);
    head.setAttribute("role", "rowheader");
    this.element = make("div", "group", head);
    this.element.setAttribute("role", "row");
    this.index = 0;
    this.host = null;
  }

  /** @param {GroupItem} item @param {number} index */
  draw(item, index) {
    const { hosts, up, gpus, busy, idle, free, bad } = item.sums;
    this.index = index;
    setAttribute(this.element, "aria-rowindex", String(index + 2));
    setText(this.label, printable(item.label));
    const words = [up === hosts ? counted(hosts, "host") : `${amount(up)} of ${counted(hosts, "host")} up`];
    if (gpus) words.push(counted(gpus, "GPU"), `${amount(busy)} ${GPU_WORDS.busy}`, `${amount(idle)} ${GPU_WORDS.idle}`, `${amount(free)} ${GPU_WORDS.free}`);
    if (bad) words.push(`${amount(bad)} lost, hung or error`);
    setText(this.sums, words.join(" · "));
  }

  tick() {}
}
