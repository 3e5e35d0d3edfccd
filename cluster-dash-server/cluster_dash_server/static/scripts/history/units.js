// Takes a chart's unit and its largest value, gives the unit in which that is told and up to where the axis goes.

const RATES = ["B/s", "KiB/s", "MiB/s", "GiB/s"];
const LEAST_MOST = 10; // of the largest value, as the others are told with one decimal
const AIR = 1.05;
const LEAST_TOP = 1; // of a share: next to nothing looks like it

/**
 * A rate in the largest unit in which it is 10 or more; all else as it is.
 * @param {{ unit: string, scale: number }} usual @param {number} most as the store has it
 */
export function fitted({ unit, scale }, most) {
  let at = RATES.indexOf(unit);
  let factor = scale;
  if (at < 0 || !(most > 0)) return { unit, scale };
  for (; at > 0 && most * factor < LEAST_MOST; at--) factor *= 1024;
  for (; at < RATES.length - 1 && most * factor >= LEAST_MOST * 1024; at++) factor /= 1024;
  return { unit: RATES[at] ?? unit, scale: factor };
}

/** Shares of a whole go to 100; of time waited as far as there is something to see. @param {string} unit @param {number | null | undefined} most @returns {number} */
export function topOf(unit, most) {
  if (unit === "%" || unit === "% used") return 100;
  const top = (most || 1) * AIR;
  return unit.startsWith("%") ? Math.min(100, Math.max(LEAST_TOP, top)) : top;
}
