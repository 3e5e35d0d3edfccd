// Takes the page's address, gives the range of time that it asks for, and the address of another range.

/**
 * @typedef {{ preset: string }} Preset  ends now and follows the clock
 * @typedef {{ from: number, to: number }} Span  Unix seconds
 * @typedef {Preset | Span} Range
 */

/** @type {readonly { name: string, seconds: number, text: string }[]} */
export const PRESETS = [
  { name: "15m", seconds: 900, text: "15 min" },
  { name: "1h", seconds: 3600, text: "1 h" },
  { name: "6h", seconds: 6 * 3600, text: "6 h" },
  { name: "24h", seconds: 86400, text: "24 h" },
  { name: "7d", seconds: 7 * 86400, text: "7 d" },
  { name: "30d", seconds: 30 * 86400, text: "30 d" },
  { name: "1y", seconds: 365 * 86400, text: "1 y" },
];
export const USUAL = "1h";
const SHORTEST_S = 1;
const LATEST_S = 2 ** 33;

/** What can't be read is the usual range. @param {string} search @returns {Range} */
export function rangeOf(search) {
  const asked = new URLSearchParams(search);
  const from = secondsOf(asked.get("from"));
  const to = secondsOf(asked.get("to"));
  if (from !== null && to !== null && to - from >= SHORTEST_S) return { from, to };
  const name = asked.get("range") ?? "";
  return { preset: PRESETS.some((each) => each.name === name) ? name : USUAL };
}

/** @param {string | null} text */
function secondsOf(text) {
  const value = text ? Number(text) : NaN;
  return value >= 0 && value <= LATEST_S ? value : null;
}

/** @param {Range} range */
export function searchOf(range) {
  return "preset" in range ? `?range=${range.preset}` : `?from=${inMilliseconds(range.from)}&to=${inMilliseconds(range.to)}`;
}

/** @param {number} seconds */
const inMilliseconds = (seconds) => Math.round(seconds * 1000) / 1000;

/** @param {Range} range @param {number} nowS @returns {Span} */
export function boundsOf(range, nowS) {
  if (!("preset" in range)) return range;
  const seconds = PRESETS.find((each) => each.name === range.preset)?.seconds ?? 3600;
  return { from: nowS - seconds, to: nowS };
}

/** What was dragged over, whole seconds where that is fine enough. @param {number} one @param {number} other @returns {Span} */
export function spanOf(one, other) {
  const from = Math.min(one, other);
  const to = Math.max(one, other, from + SHORTEST_S);
  return to - from > 60 ? { from: Math.floor(from), to: Math.ceil(to) } : { from: inMilliseconds(from), to: inMilliseconds(to) };
}

/** As far again before it or after it, not past now: there a range as long as a preset follows the clock again. @param {Span} span @param {-1 | 1} direction @param {number} nowS @returns {Range} */
export function beside({ from, to }, direction, nowS) {
  const length = to - from;
  if (direction < 0) return { from: Math.max(0, from - length), to: Math.max(length, to - length) };
  const by = Math.min(length, Math.max(0, nowS - to));
  const preset = by < length ? PRESETS.find(({ seconds }) => Math.abs(seconds - length) < SHORTEST_S) : undefined;
  return preset ? { preset: preset.name } : { from: from + by, to: to + by };
}

/** Half as long, with the same time under the cursor. @param {Span} span @param {number} at @returns {Span} */
export const closer = ({ from, to }, at) => spanOf(at - (at - from) / 2, at + (to - at) / 2);

/** The next longer preset; else twice as long, not past now. @param {Range} range @param {number} nowS @returns {Range} */
export function wider(range, nowS) {
  if ("preset" in range) {
    const next = PRESETS[PRESETS.findIndex(({ name }) => name === range.preset) + 1];
    if (next) return { preset: next.name };
  }
  const { from, to } = boundsOf(range, nowS);
  const end = Math.max(to, Math.min(nowS, to + (to - from) / 2));
  return spanOf(Math.max(0, end - 2 * (to - from)), end);
}
