// Takes a chart's times and what is known to have happened, gives the gaps and why they are there.

/**
 * @typedef {{ from: number, to: number }} Gap  Unix seconds of the last point before it and of the first after it
 * @typedef {{ time: number, kind: string, host: string, data: Record<string, unknown> }} Event
 */

/** Also the one that goes on at the end. @param {number[]} times of the points @param {number} longestS without a gap @param {number} endS @returns {Gap[]} */
export function gapsOf(times, longestS, endS) {
  if (times.length === 0 || longestS <= 0) return [];
  /** @type {Gap[]} */
  const found = [];
  [...times.slice(1), endS].forEach((to, at) => {
    const from = /** @type {number} */ (times[at]);
    if (to - from > longestS) found.push({ from, to });
  });
  return found;
}

/**
 * A host or a mole that was off tells by what it does when it is back; a server by since when it was off. `slackS`: how
 * long after the gap's end a start may be told.
 * @param {Gap} gap @param {Event[]} events @param {number} slackS
 */
export function causeOf(gap, events, slackS) {
  const inside = events.filter(({ time }) => time > gap.from && time <= gap.to + slackS);
  const causes = [];
  if (inside.some(({ kind }) => kind === "host boot")) causes.push("the host was off");
  else if (inside.some(({ kind }) => kind === "mole start")) causes.push("the mole was off");
  const offS = inside.reduce((sum, { kind, time, data }) => {
    const since = kind === "server start" && typeof data.off_since === "number" ? data.off_since : time;
    return sum + Math.max(0, Math.min(time, gap.to) - Math.max(since, gap.from));
  }, 0);
  if (offS > (gap.to - gap.from) / 2) causes.push("the server was off");
  return causes.join(", ") || "no data";
}
