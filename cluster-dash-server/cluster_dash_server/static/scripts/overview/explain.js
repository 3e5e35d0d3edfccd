// Takes a GPU or a host, gives what its card says: what it is, why, since when, what to do. Text only, no page.

import { ageOf, isHot } from "./fleet.js";
import { GPU_WORDS, HOST_WORDS, stateOf } from "./states.js";
import { MISSING, clock, counted, duration, instanceName, modelName, number, ofGib, percent, printable, rate } from "./wording.js";

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./fleet.js").Gpu} Gpu
 * @typedef {{ title: string, state: string, kind: string, lines: [string, string][], said: { level: string, text: string, todo: string | null }[] }} Card
 */

/** @type {Record<string, string>} */
const GPU_TODO = {
  idle: "Ask who holds it, or look at its processes on the host's page.",
  lost: "Look at dmesg for an XID; the host needs a reset of this GPU or a reboot.",
  hung: "Calls into the driver don't come back: reboot the host.",
  error: "One of its values can't be read; the host's page has the error.",
  unknown: "Its driver doesn't tell all that is needed to call it free or in use.",
  off: "These are the last values; what it does now is not known.",
};

/** @param {Host} host @param {Gpu} gpu @param {number} nowMs @returns {Card} */
export function explainGpu(host, gpu, nowMs) {
  const age = ageOf(host, nowMs);
  const gone = gpu.is === "lost" || gpu.is === "hung";
  /** @type {[string, string][]} */
  const lines = [["model", modelName(gpu.model ?? host.model) || MISSING]];
  if (!gone) {
    lines.push(
      ["busy", percent(gpu.util)],
      ["memory held", ofGib(gpu.mem)],
      ["used by", gpu.users?.length ? gpu.users.map(printable).join(", ") : "nobody known"],
      ["power", gpu.power?.[0] == null ? MISSING : `${Math.round(gpu.power[0])}${gpu.power[1] == null ? "" : ` of ${Math.round(gpu.power[1])}`} W`],
      ["temperature", gpu.temp == null ? MISSING : `${Math.round(gpu.temp)} °C${isHot(gpu) ? ", hot" : ""}`],
    );
    if (gpu.tensor != null) lines.push(["tensor cores", percent(gpu.tensor)]);
    if (gpu.dram != null) lines.push(["memory bandwidth", percent(gpu.dram)]);
    if (gpu.throttled?.length) lines.push(["slowed by", gpu.throttled.join(", ")]);
  } else if (gpu.users?.length) {
    lines.push(["last used by", gpu.users.map(printable).join(", ")]);
  }
  for (const instance of gpu.mig ?? []) {
    lines.push([instanceName(instance.name), ofGib([inGib(instance.used_mib), inGib(instance.total_mib)])]);
  }
  if (gpu.idle_s != null && gpu.is === "idle") lines.push(["without work for", duration(gpu.idle_s + sinceMessage(host, age))]);
  else if (gpu.since_s != null) lines.push([`${GPU_WORDS[gpu.is]} for`, duration(gpu.since_s + sinceMessage(host, age))]);
  if (gpu.uuid) lines.push(["id", gpu.uuid]);
  lines.push(["read", age == null ? MISSING : `${duration(age)} ago`]);
  const why = gpu.why ? printable(gpu.why) : "";
  const todo = gpu.todo ? printable(gpu.todo) : (GPU_TODO[gpu.is] ?? null);
  const level = gone || gpu.is === "error" ? "bad" : "warn";
  const said = why || todo ? [{ level: gpu.is === "free" || gpu.is === "busy" ? "info" : level, text: why || defaultWhy(gpu), todo }] : [];
  return { title: `GPU ${gpu.i ?? "?"} of ${printable(host.name)}`, state: GPU_WORDS[gpu.is] ?? gpu.is, kind: gpu.is, lines, said };
}

/** Since when it is by the mole, which may have seen it first, and for how long this server has seen it; whose is which. @param {import("./fleet.js").Note} note @param {Host} host @param {number | null} age */
function wholeNote(note, host, age) {
  const seen = note.since_s ? duration(note.since_s + sinceMessage(host, age)) : "";
  const told = note.told_since ? `since ${note.told_since}` : "";
  const since = told && seen ? `${told}, seen here for ${seen}` : told || (seen && `for ${seen}`);
  return printable(note.text) + (since && ` (${since})`);
}

/** The same in a line: of both the one that goes back further. @param {import("./fleet.js").Note} note @param {Host} host @param {number | null} age */
export function briefNote(note, host, age) {
  return wholeNote(note.told_since ? { ...note, since_s: null } : note, host, age);
}

/** How much older the host's post is than when the server wrote it down. @param {Host} host @param {number | null} age */
const sinceMessage = (host, age) => (age == null || host.age_s == null ? 0 : Math.max(0, age - host.age_s));

/** @param {number | null} mib */
const inGib = (mib) => (mib == null ? null : mib / 1024);

/** @param {Gpu} gpu */
function defaultWhy(gpu) {
  return { idle: `It holds ${number(gpu.mem?.[0])} GiB and does nothing.`, off: "Its host doesn't report." }[/** @type {string} */ (gpu.is)] ?? "";
}

/** @param {Host} host @param {number} nowMs @returns {Card} */
export function explainHost(host, nowMs) {
  const age = ageOf(host, nowMs);
  /** @type {[string, string][]} */
  const lines = [];
  if (host.is !== "silent") {
    lines.push(
      ["last post", age == null ? MISSING : `${duration(age)} ago${host.seen && age > 60 ? ` (${clock(host.seen)})` : ""}`],
      ["posts every", host.every_s == null ? MISSING : duration(host.every_s)],
      ["GPUs", host.gpus.length ? `${host.gpus.length} × ${modelName(host.model) || "?"}` : "none"],
      ["CPU", `${percent(host.cpu)}${host.cpus ? ` of ${counted(host.cpus, "core")}` : ""}${host.load == null ? "" : `, load ${number(host.load)}`}`],
      ["memory", ofGib(host.mem)],
      ["fullest disk", host.disk ? `${printable(host.disk.mount)} ${percent(host.disk.percent)}` : MISSING],
    );
    if (host.net) lines.push(["network", `in ${rate(host.net[0])}, out ${rate(host.net[1])}`]);
  }
  if (host.tags.length) lines.push(["tags", host.tags.map(printable).join(", ")]);
  const said = host.notes.map((note) => ({
    level: note.level,
    text: wholeNote(note, host, age),
    todo: note.todo ? printable(note.todo) : null,
  }));
  const silence = silenceOf(host, age);
  const state = stateOf(host);
  return { title: printable(host.name), state: HOST_WORDS[state] ?? state, kind: state, lines, said: silence ? [silence, ...said] : said };
}

/** @param {Host} host @param {number | null} age */
function silenceOf(host, age) {
  if (host.is === "up") return null;
  if (host.is === "silent") {
    return { level: "bad", text: "The settings expect it, and it has not reported since this server started.", todo: "Start its mole, or take its name out of [hosts] expected." };
  }
  const since = age == null ? "" : ` for ${duration(age)}`;
  return {
    level: host.is === "offline" ? "bad" : "warn",
    text: `No post${since}; what is shown are its last values.`,
    todo: "See whether the host answers, then whether its mole runs: systemctl status cluster-dash-mole.",
  };
}

/** What a screen reader says of a tile: its own words, with what a sighted person sees around them. @param {Gpu} gpu @param {string} words */
export function spokenGpu(gpu, words) {
  const state = GPU_WORDS[gpu.is] ?? gpu.is;
  const parts = [`GPU ${gpu.i ?? "?"}`];
  if (!words.includes(state)) parts.push(state);
  if (words) parts.push(words);
  if (gpu.mem?.[0] != null && gpu.is !== "lost" && gpu.is !== "hung") parts.push(`${ofGib(gpu.mem)} held`);
  return parts.join(", ");
}
