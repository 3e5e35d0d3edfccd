// Takes Unix seconds, gives them as a person of the viewer's time zone reads them.

const DAY_S = 86400;

/** @param {number} seconds @param {Intl.DateTimeFormatOptions} options */
const written = (seconds, options) => new Date(seconds * 1000).toLocaleString("en-GB", { hourCycle: "h23", ...options });

/** @param {number} seconds */
const date = (seconds) => written(seconds, { day: "numeric", month: "short" });

const year = (/** @type {number} */ seconds) => written(seconds, { year: "numeric" });

/** 22 Nov, 14:03:05; with the year where it isn't this one. @param {number} seconds */
export const moment = (seconds) => `${date(seconds)}${year(seconds) === year(Date.now() / 1000) ? "" : ` ${year(seconds)}`}, ${written(seconds, { hour: "2-digit", minute: "2-digit", second: "2-digit" })}`;

/** 22 Nov 2026, 14:03. @param {number} seconds */
export const day = (seconds) => `${written(seconds, { day: "numeric", month: "short", year: "numeric" })}, ${written(seconds, { hour: "2-digit", minute: "2-digit" })}`;

/** 22 Nov, 14:03 to 15:03; as exact as its length asks for. @param {{ from: number, to: number }} span */
export function spanned({ from, to }) {
  const [start, end] = to - from < 3600 ? [moment(from), moment(to)] : [moment(from).replace(/:\d\d$/, ""), moment(to).replace(/:\d\d$/, "")];
  const [date = "", time = ""] = end.split(", ");
  return `${start} to ${start.startsWith(`${date}, `) ? time : end}`;
}

/** Below an axis: the time, and on a second line the date where it is another one than before. @param {number[]} ticks @param {number} stepS between them */
export function tickLabels(ticks, stepS) {
  let before = "";
  return ticks.map((tick) => {
    const [upper, lower] = stepS >= DAY_S ? [date(tick), year(tick)] : [clock(tick, stepS), date(tick)];
    const label = lower === before ? upper : `${upper}\n${lower}`;
    before = lower;
    return label;
  });
}

/** @param {number} seconds @param {number} stepS */
const clock = (seconds, stepS) => written(seconds, { hour: "2-digit", minute: "2-digit", ...(stepS < 60 ? { second: "2-digit" } : {}) });
