// Takes a chart's times and what is known to have happened, gives the gaps and why they are there.

import { day } from "./times.js";

/**
 * @typedef {{ from: number, to: number }} Gap  Unix seconds of the end of what is before it and of what comes after it
 * @typedef {Gap & { why: string, isBeginning: boolean }} Told  isBeginning: of all that the chart shows
 * @typedef {{ time: number, kind: string, host: string, data: Record<string, unknown> }} Event
 */

const SHARE_OF_ONE_POINT = 0.01;

/** Also those before the first point and after the last, as far as the range goes. @param {number[]} times of the points @param {number} longestS from one to the next without a gap @param {number} bucketS @param {Gap} span @returns {Gap[]} */
export function gapsOf(times, longestS, bucketS, span) {
  if (times.length === 0) return [];
  const longest = longestS > 0 ? longestS - bucketS : (span.to - span.from) * SHARE_OF_ONE_POINT;
  const starts = [span.from, ...times.map((time) => time + bucketS)];
  return starts.map((from, at) => ({ from, to: times[at] ?? span.to })).filter(({ from, to }) => to - from > longest);
}

/**
 * With why. The one before the chart's first point, if `oldest` (to the hour) is not before the range, is explained by nothing.
 * @param {Gap[]} gaps @param {Gap} span @param {number | undefined} oldest @param {Event[]} events @param {number} slackS @returns {Told[]}
 */
export function told(gaps, span, oldest, events, slackS) {
  return gaps.map((gap) => {
    const isBeginning = gap.from === span.from && oldest !== undefined && oldest >= span.from;
    return { ...gap, isBeginning, why: isBeginning ? `no data before ${day(gap.to)}` : causeOf(gap, events, slackS) };
  });
}

/**
 * A host or a mole that was off tells by what it does when it is back; a host that was asleep and a server tell since when.
 * `slackS`: how long after the gap's end a start may be told.
 * @param {Gap} gap @param {Event[]} events @param {number} slackS
 */
export function causeOf(gap, events, slackS) {
  const inside = events.filter(({ time }) => time > gap.from && time <= gap.to + slackS);
  const causes = [];
  if (inside.some(({ kind }) => kind === "host boot")) causes.push("the host was off");
  else if (inside.some(({ kind }) => kind === "mole start")) causes.push("the mole was off");
  /** How much of the gap it explains. @param {string} kind */
  const offS = (kind) => inside.filter((event) => event.kind === kind).reduce((sum, { time, data }) => {
    const since = typeof data.off_since === "number" ? data.off_since : time;
    return sum + Math.max(0, Math.min(time, gap.to) - Math.max(since, gap.from));
  }, 0);
  const isMost = (/** @type {number} */ seconds) => seconds > (gap.to - gap.from) / 2;
  if (isMost(offS("host sleep"))) causes.push("the host was asleep");
  if (isMost(offS("server start"))) causes.push("the server was off");
  return causes.join(", ") || "no data";
}
