// Takes answers of /api/series, gives what a chart draws: one column of times for all lines, and where each line breaks.

/**
 * @typedef {object} Series  columns of one length, by time
 * @property {string} metric
 * @property {number | null} device  GPU index
 * @property {Record<string, string>} tags
 * @property {number[]} time  Unix seconds; of a bucket its start
 * @property {(number | null)[]} value
 * @property {(number | null)[]} [min]  these three where points are put together by buckets
 * @property {(number | null)[]} [max]
 * @property {(number | null)[]} [mean]
 * @typedef {{ series: Series[], bucket_s: number }} Answer
 *
 * @typedef {(number | null | undefined)[]} Column  null: the line breaks; undefined: it has nothing to tell at this time
 * @typedef {{ line: Column, low: Column | null, high: Column | null }} Drawn  low and high: between which its values were
 * @typedef {{ times: number[], lines: Drawn[], stepS: number }} Columns
 * @typedef {{ scale: number, limits: Record<string, [number, number]> }} Reading  limits: what a metric can be
 */

const STEPS_OF_A_GAP = 3;

/** Between two points, as most of them are apart; 0 where there are none. @param {number[]} times */
export function stepOf(times) {
  const steps = times.slice(1).map((time, at) => time - /** @type {number} */ (times[at])).sort((a, b) => a - b);
  return steps[Math.floor((steps.length - 1) / 2)] ?? 0;
}

/** How far apart two points may be without a gap between them. Buckets are empty only where nothing came. @param {number} stepS @param {number} bucketS */
export function longestStep(stepS, bucketS) {
  return bucketS > 0 && stepS <= bucketS ? 1.5 * bucketS : STEPS_OF_A_GAP * stepS;
}

/** @param {Answer} answer @param {Reading} reading @returns {Columns} */
export function columnsOf({ series, bucket_s: bucketS }, reading) {
  const shift = bucketS / 2; // a bucket's mean belongs to its middle
  const times = new Set(series.flatMap(({ time }) => time));
  const breaks = series.map(({ time }) => breaksOf(time, bucketS));
  for (const each of breaks.flat()) times.add(each);
  const sorted = [...times].sort((a, b) => a - b);
  const places = new Map(sorted.map((time, at) => [time, at]));
  const lines = unlessBare(series.map((each, at) => drawn(each, breaks[at] ?? [], places, reading)));
  return { times: shift ? sorted.map((time) => time + shift) : sorted, lines, stepS: Math.max(bucketS, ...series.map(({ time }) => stepOf(time))) };
}

/** Without bands where each is as narrow as its line. @param {Drawn[]} lines @returns {Drawn[]} */
function unlessBare(lines) {
  const isWide = lines.some(({ low, high }) => low?.some((least, at) => least !== high?.[at]));
  return isWide ? lines : lines.map(({ line }) => ({ line, low: null, high: null }));
}

/** A time in each gap. @param {number[]} time @param {number} bucketS */
function breaksOf(time, bucketS) {
  const stepS = stepOf(time);
  const longest = longestStep(stepS, bucketS);
  /** @type {number[]} */
  const found = [];
  time.forEach((next, at) => {
    const before = time[at - 1];
    if (before !== undefined && next - before > longest) found.push(before + Math.min(stepS || 1, (next - before) / 2));
  });
  return found;
}

/** @param {Series} series @param {number[]} breaks @param {Map<number, number>} places @param {Reading} reading @returns {Drawn} */
function drawn(series, breaks, places, { scale, limits }) {
  const [least, most] = limits[series.metric] ?? [-Infinity, Infinity];
  /** @param {number} at */
  const canBe = (at) => {
    const low = (series.min ?? series.value)[at];
    const high = (series.max ?? series.value)[at];
    return low != null && high != null && low >= least && high <= most;
  };
  /** @param {(number | null)[]} values @returns {Column} */
  const column = (values) => {
    /** @type {Column} */
    const found = new Array(places.size).fill(undefined);
    for (const each of breaks) found[/** @type {number} */ (places.get(each))] = null;
    series.time.forEach((time, at) => {
      const value = values[at];
      found[/** @type {number} */ (places.get(time))] = value == null || !canBe(at) ? null : value * scale;
    });
    return found;
  };
  const { min, max, mean } = series;
  return { line: column(mean ?? series.value), low: min ? column(min) : null, high: max ? column(max) : null };
}

/** Of all its series, in order. @param {Answer} answer */
export function timesOf({ series }) {
  return [...new Set(series.flatMap(({ time }) => time))].sort((a, b) => a - b);
}

/** @param {Series} series */
export const keyOf = ({ metric, device, tags }) => JSON.stringify([metric, device, tags]);

/** Raw points and those that came since, without what is older than the range. @param {Answer} answer @param {Answer} news @param {number} fromS @returns {Answer} */
export function appended(answer, news, fromS) {
  const fresh = new Map(news.series.map((each) => [keyOf(each), each]));
  const known = answer.series.map((each) => {
    const more = fresh.get(keyOf(each));
    fresh.delete(keyOf(each));
    return more ? joined(each, more) : each;
  });
  const series = [...known, ...fresh.values()].map((each) => since(each, fromS)).filter(({ time }) => time.length > 0);
  return { series, bucket_s: 0 };
}

/** @param {Series} series @param {Series} more @returns {Series} */
function joined(series, more) {
  const last = series.time.at(-1) ?? -Infinity;
  const first = more.time.findIndex((time) => time > last);
  if (first < 0) return series;
  return { ...series, time: [...series.time, ...more.time.slice(first)], value: [...series.value, ...more.value.slice(first)] };
}

/** @param {Series} series @param {number} fromS @returns {Series} */
function since(series, fromS) {
  const first = series.time.findIndex((time) => time >= fromS);
  if (first === 0) return series;
  return first < 0 ? { ...series, time: [], value: [] } : { ...series, time: series.time.slice(first), value: series.value.slice(first) };
}

/** The newest time of all series. @param {Answer} answer */
export function newest({ series }) {
  return Math.max(-Infinity, ...series.map(({ time }) => time.at(-1) ?? -Infinity));
}

/** Of all its values; 0 where there is none. @param {Series[]} series */
export function largest(series) {
  let most = 0;
  for (const { max, value } of series) for (const each of max ?? value) if (each !== null && each > most) most = each;
  return most;
}

/** The places with a break on each side: no line goes there. @param {Column} column */
export function lonely(column) {
  /** @type {number[]} */
  const found = [];
  let sinceBreak = 0;
  let last = -1;
  column.forEach((value, at) => {
    if (value === undefined) return;
    if (value === null && sinceBreak === 1) found.push(last);
    sinceBreak = value === null ? 0 : sinceBreak + 1;
    last = at;
  });
  return sinceBreak === 1 ? [...found, last] : found;
}

/** What stands nearest to a place of a column, up to `within` places away. @param {Column} column @param {number} at @param {number} within */
export function near(column, at, within) {
  for (let away = 0; away <= within; away++) {
    const found = column[at - away] ?? column[at + away];
    if (found != null) return found;
    if (column[at - away] === null || column[at + away] === null) return null;
  }
  return null;
}
