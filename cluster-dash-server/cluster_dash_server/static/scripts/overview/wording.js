// Takes numbers and names, gives them as a person reads them; what is missing is a dash. Nothing before rounds.

export const MISSING = "–";

/** 3 s, 5 min, 2 h 14 min, 3 d 4 h. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  for (const [size, unit, smaller, smallerUnit] of /** @type {const} */ ([[86400, "d", 3600, "h"], [3600, "h", 60, "min"]])) {
    if (whole < size) continue;
    const rest = Math.floor((whole % size) / smaller);
    return `${Math.floor(whole / size)} ${unit}` + (rest ? ` ${rest} ${smallerUnit}` : "");
  }
  return whole >= 60 ? `${Math.floor(whole / 60)} min` : `${whole} s`;
}

/** One unit, for a tile: 3h, 13m. @param {number} seconds */
export function shortDuration(seconds) {
  const [number, unit] = duration(seconds).split(" ");
  return `${number}${unit === "min" ? "m" : unit}`;
}

/** @param {number | null | undefined} value */
export function percent(value) {
  return value == null ? MISSING : `${Math.round(value)} %`;
}

/** A decimal below 100, none from there on, never a .0; what is little is not nothing. As views/wording.py. @param {number | null | undefined} value */
export function number(value) {
  if (value == null) return MISSING;
  if (value !== 0 && Math.abs(value) < 0.05) return "<0.1";
  return Math.abs(value) < 99.95 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0);
}

/** "61 of 80 GiB"; a dash for what isn't known. @param {[number | null, number | null] | null | undefined} pair */
export function ofGib(pair) {
  return pair == null || (pair[0] == null && pair[1] == null) ? MISSING : `${number(pair[0])} of ${number(pair[1])} GiB`;
}

/** Used of total in percent; null where either isn't known. @param {[number | null, number | null] | null | undefined} pair */
export function share(pair) {
  if (pair?.[0] == null || !pair[1]) return null;
  return Math.min(100, (pair[0] / pair[1]) * 100);
}

/** Watts as W, or as kW from 10,000 on. @param {number | null | undefined} watts @returns {[string, string]} */
export function power(watts) {
  if (watts == null) return [MISSING, ""];
  return watts < 10_000 ? [String(Math.round(watts)), "W"] : [number(watts / 1000), "kW"];
}

/** @param {number | null | undefined} perSecond */
export function rate(perSecond) {
  if (perSecond == null) return MISSING;
  const units = ["B/s", "KiB/s", "MiB/s", "GiB/s"];
  let value = perSecond;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit > 0 ? number(value) : Math.round(value)} ${units[unit]}`;
}

/** 1,005; of things that are counted. @param {number} count */
export function amount(count) {
  return count.toLocaleString("en");
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${amount(count)} ${count === 1 ? one : many}`;
}

const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Without what would turn the direction of the text around it. @param {string} text */
export function printable(text) {
  return text.replace(UNSAFE, "\ufffd");
}

/** "NVIDIA GeForce RTX 4090" is an RTX 4090. @param {string | null | undefined} model */
export function modelName(model) {
  return model ? printable(model).replace(/^(NVIDIA|AMD)\s+/i, "").replace(/^(GeForce|Tesla|Instinct)\s+/i, "") : "";
}

/** NVIDIA names an instance with its GPU, "NVIDIA A100-SXM4-80GB MIG 3g.40gb", which is MIG 3g.40gb. @param {string} name */
export function instanceName(name) {
  return `MIG ${printable(name).replace(/^.*\bMIG\s+/, "")}`;
}

/** @param {number} epochSeconds */
export function clock(epochSeconds) {
  return new Date(epochSeconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
