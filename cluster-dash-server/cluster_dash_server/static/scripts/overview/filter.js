// Takes the words of the filter box, gives a test of a host: whether it is shown, and which of its GPUs are meant.
//
// Words are joined by "and". A word that only concerns GPUs picks GPUs: all such words must hold for one and the same GPU.

import { ageOf, hasProblem } from "./fleet.js";
import { GPU_WORDS, HOST_WORDS, stateOf } from "./states.js";
import { printable, share } from "./wording.js";

/**
 * @typedef {import("./fleet.js").Host} Host
 * @typedef {import("./fleet.js").Gpu} Gpu
 * @typedef {{ gpus: Set<Gpu> | null }} Hit  null: the whole host is meant
 * @typedef {(host: Host, nowMs: number) => boolean} OfHost
 * @typedef {(gpu: Gpu, host: Host) => boolean | null} OfGpu  null: it can't be told of this GPU
 * @typedef {{ not: boolean, ofHost?: OfHost, ofGpu?: OfGpu }} Term
 */

/** @type {Record<string, (gpu: Gpu) => number | null | undefined>} */
const GPU_NUMBERS = {
  util: (gpu) => gpu.util,
  mem: (gpu) => gpu.mem?.[0],
  room: (gpu) => (gpu.mem?.[0] == null || gpu.mem[1] == null ? null : gpu.mem[1] - gpu.mem[0]),
  power: (gpu) => gpu.power?.[0],
  temp: (gpu) => gpu.temp,
};
/** @type {Record<string, (host: Host, nowMs: number) => number | null | undefined>} */
const HOST_NUMBERS = {
  cpu: (host) => host.cpu,
  load: (host) => host.load,
  disk: (host) => host.disk?.percent,
  ram: (host) => share(host.mem),
  age: ageOf,
  gpus: (host) => host.gpus.length,
};
/** @type {Record<string, (a: number, b: number) => boolean>} */
const COMPARE = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b, "=": (a, b) => a === b };
const COMPARISON = /^([a-z]+)(>=|<=|>|<|=)(\d+(?:\.\d+)?)$/;

/** Words at spaces, but "…" holds together. @param {string} query @returns {string[]} */
export function wordsOf(query) {
  return [...query.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)].map(([word]) => word.replaceAll('"', "")).filter((word) => word && word !== "-");
}

/** A name as the box can hold it. @param {string} name */
const asWord = (name) => printable(name).replaceAll('"', "");

/** `key:text` so that it is one word of the filter again. @param {string} key @param {string} text */
export function wordFor(key, text) {
  const plain = asWord(text);
  return `${key}:${/\s/.test(plain) ? `"${plain}"` : plain}`;
}

/** The filter with this word, or without it where it was there. @param {string} query @param {string} word */
export function toggleWord(query, word) {
  const pieces = [...query.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)].map(([piece]) => piece);
  const rest = pieces.filter((piece) => piece !== word);
  return (rest.length < pieces.length ? rest : [...rest, word]).join(" ");
}

/** @param {string} query @param {string} word */
export function hasWord(query, word) {
  return [...query.matchAll(/(?:[^\s"]|"[^"]*"?)+/g)].some(([piece]) => piece === word);
}

/** @param {string} query @returns {(host: Host, nowMs: number) => Hit | null} null: not shown */
export function parseFilter(query) {
  const words = wordsOf(query.toLowerCase());
  const terms = words.map((word) => term(word, words.includes("free")));
  return (host, nowMs) => test(terms, host, nowMs);
}

/** @param {string} word @param {boolean} ofFree @returns {Term} */
function term(word, ofFree) {
  const not = word.startsWith("-") && word.length > 1;
  const plain = not ? word.slice(1) : word;
  return { not, ...(comparison(plain, ofFree) ?? state(plain) ?? field(plain) ?? anywhere(plain)) };
}

/** Of free GPUs `mem` is what they have to give. @param {string} word @param {boolean} ofFree @returns {Omit<Term, "not"> | null} */
function comparison(word, ofFree) {
  const [, name = "", sign = "", digits = ""] = COMPARISON.exec(word) ?? [];
  const compare = COMPARE[sign];
  if (!compare) return null;
  const ofGpu = Object.hasOwn(GPU_NUMBERS, name) ? GPU_NUMBERS[ofFree && name === "mem" ? "room" : name] : undefined;
  if (ofGpu) {
    return { ofGpu: (gpu) => (gpu.is === "off" ? null : known(ofGpu(gpu), (value) => compare(value, Number(digits)))) };
  }
  const ofHost = Object.hasOwn(HOST_NUMBERS, name) ? HOST_NUMBERS[name] : undefined;
  return ofHost ? { ofHost: (host, nowMs) => known(ofHost(host, nowMs), (value) => compare(value, Number(digits))) ?? false } : null;
}

/** @param {number | null | undefined} value @param {(value: number) => boolean} check */
const known = (value, check) => (value == null ? null : check(value));

/** By the short word or the one that the page shows; fault and conflict are up, too. @param {string} word @returns {Omit<Term, "not"> | null} */
function state(word) {
  const [is] = Object.entries(GPU_WORDS).find((names) => names.includes(word)) ?? [];
  if (is) return { ofGpu: (gpu) => gpu.is === is };
  if (word === "problems" || word === "problem") return { ofHost: hasProblem };
  if (word === "throttled") return { ofGpu: (gpu) => (gpu.throttled ?? []).length > 0 };
  if (word === "mig") return { ofGpu: (gpu) => (gpu.mig ?? []).length > 0 };
  if (Object.hasOwn(HOST_WORDS, word)) return { ofHost: (host) => host.is === word || stateOf(host) === word };
  return null;
}

/** @type {Record<string, (text: string) => Omit<Term, "not">>} */
const FIELDS = {
  host: (text) => ({ ofHost: (host) => host.name.toLowerCase().includes(text) }),
  tag: (text) => ({ ofHost: (host) => host.tags.some((tag) => asWord(tag).toLowerCase() === text) }),
  note: (text) => ({ ofHost: (host) => host.notes.some((note) => note.kind === text || note.text.toLowerCase().includes(text)) }),
  user: (text) => ({ ofGpu: (gpu) => (gpu.users ?? []).some((user) => asWord(user).toLowerCase() === text) }),
  model: (text) => ({ ofGpu: (gpu, host) => (gpu.model ?? host.model ?? "").toLowerCase().includes(text) }),
};

/** @param {string} word @returns {Omit<Term, "not"> | null} */
function field(word) {
  const colon = word.indexOf(":");
  const make = colon > 0 && Object.hasOwn(FIELDS, word.slice(0, colon)) ? FIELDS[word.slice(0, colon)] : undefined;
  return make && colon < word.length - 1 ? make(word.slice(colon + 1)) : null;
}

/** In a host's name, tag, model or kind of note, else with a GPU's user or model. @param {string} text @returns {Omit<Term, "not">} */
function anywhere(text) {
  return {
    ofHost: (host) =>
      host.name.toLowerCase().includes(text) ||
      (host.model ?? "").toLowerCase().includes(text) ||
      host.tags.some((tag) => tag.toLowerCase().includes(text)) ||
      host.notes.some((note) => note.kind === text || note.text.toLowerCase().includes(text)),
    ofGpu: (gpu) =>
      (gpu.users ?? []).some((user) => user.toLowerCase().includes(text)) || (gpu.model ?? "").toLowerCase().includes(text),
  };
}

/** @param {Term[]} terms @param {Host} host @param {number} nowMs @returns {Hit | null} */
function test(terms, host, nowMs) {
  /** @type {Term[]} */
  const left = [];
  for (const each of terms) {
    const here = each.ofHost?.(host, nowMs) ?? false;
    if (here && each.not) return null;
    if (here) continue;
    if (each.ofGpu) left.push(each);
    else if (!each.not) return null;
  }
  if (left.length === 0) return { gpus: null };
  if (host.gpus.length === 0) return left.every((each) => each.not) ? { gpus: null } : null;
  const gpus = new Set(host.gpus.filter((gpu) => left.every((each) => holds(each, gpu, host))));
  if (gpus.size === 0) return null;
  return { gpus: gpus.size === host.gpus.length && left.every((each) => each.not) ? null : gpus };
}

/** What can't be told of a GPU holds neither way. @param {Term} each @param {Gpu} gpu @param {Host} host */
function holds(each, gpu, host) {
  const answer = each.ofGpu?.(gpu, host) ?? null;
  return answer !== null && answer !== each.not;
}

