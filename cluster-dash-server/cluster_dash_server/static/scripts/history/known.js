// Takes what /api/metrics tells of a host, says which charts it has, and which of them have nothing in a range.

import { day } from "./times.js";

/**
 * @typedef {import("./range.js").Span} Span
 * @typedef {Map<string, Span>} Known  by metric, of the oldest point (to the hour) and of the newest
 * @typedef {{ title: string, metrics: Record<string, string> }} Spec
 */

const HOUR_S = 3600;

/** @param {{ metrics: { name: string, oldest: number, newest: number }[] }} answer @returns {Known} */
export const knownOf = ({ metrics }) => new Map(metrics.map(({ name, oldest, newest }) => [name, { from: oldest, to: newest }]));

/** Of all that a chart shows; null where the host never sent any of it. @param {Known} known @param {Spec} spec @returns {Span | null} */
export function lifeOf(known, { metrics }) {
  const lives = Object.keys(metrics).flatMap((name) => known.get(name) ?? []);
  if (lives.length === 0) return null;
  return { from: Math.min(...lives.map(({ from }) => from)), to: Math.max(...lives.map(({ to }) => to)) };
}

/** Whether a range may have points of it; `askedS`: when that was known. @param {Span} life @param {Span} span @param {number} askedS */
export const touches = (life, span, askedS) => span.to > life.from && (span.from <= life.to || span.to > askedS);

/** Which charts have nothing in the range, and where to look for them. @param {Known} known @param {Spec[]} specs @param {Span} span */
export function lacking(known, specs, span) {
  /** @type {Map<string, string[]>} */
  const titles = new Map();
  for (const spec of specs) {
    const where = elsewhere(lifeOf(known, spec), span);
    titles.set(where, [...(titles.get(where) ?? []), spec.title]);
  }
  const told = [...titles].map(([where, alike]) => `${alike.join(", ")}${where}`);
  return told.length > 0 ? `Nothing in this range: ${told.join("; ")}.` : "";
}

/** @param {Span | null} life @param {Span} span */
function elsewhere(life, span) {
  if (life && life.to < span.from) return ` (last ${day(life.to)})`;
  if (life && life.from + HOUR_S > span.to) return ` (from ${day(life.from)} on)`;
  return "";
}
