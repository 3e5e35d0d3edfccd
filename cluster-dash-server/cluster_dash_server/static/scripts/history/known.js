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

/** Which charts have nothing in the range, and where to look for it. @param {Known} known @param {Spec[]} specs @param {Span} span */
export function lacking(known, specs, span) {
  if (specs.length === 0) return "";
  return `Nothing in this range: ${specs.map((spec) => `${spec.title}${elsewhere(lifeOf(known, spec), span)}`).join(", ")}.`;
}

/** @param {Span | null} life @param {Span} span */
function elsewhere(life, span) {
  if (life && life.to < span.from) return ` (last ${day(life.to)})`;
  if (life && life.from + HOUR_S > span.to) return ` (from ${day(life.from)} on)`;
  return "";
}
