// Takes series, gives each a name and a look: a GPU has the same colour in every chart.

import { printable } from "../overview/wording.js";

/**
 * @typedef {import("./series.js").Series} Series
 * @typedef {{ name: string, colour: string, dash: number[] }} Look
 */

/** Of a middle brightness: a GPU has the same one on a light page, a dark one and in a picture, and is seen on each. */
const COLOURS = ["#2f83c5", "#d97400", "#2b982b", "#e0443f", "#9a6fc6", "#a5694f", "#d45fb0", "#0e95a8", "#8f8f10", "#808a92"];
const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4]];
export const MOST_LINES = 128;

/** @param {number} place */
const look = (place) => ({ colour: COLOURS[place % COLOURS.length] ?? "", dash: DASHES[Math.floor(place / COLOURS.length) % DASHES.length] ?? [] });

/** In the order in which they are drawn. @param {Series[]} series @param {Record<string, string>} words by metric @param {Record<string, string>} [ofTags] by a tag's value @returns {Look[]} */
export function looksOf(series, words, ofTags = {}) {
  return series.map((each, at) => ({ name: nameOf(each, words[each.metric] ?? "", ofTags), ...look(each.device ?? at) }));
}

/** @param {Series} series @param {string} word @param {Record<string, string>} ofTags */
function nameOf({ metric, device, tags }, word, ofTags) {
  const parts = [word, device === null ? "" : `GPU ${device}`, ...Object.values(tags).map((tag) => (Object.hasOwn(ofTags, tag) ? ofTags[tag] : String(tag)))];
  return printable(parts.filter(Boolean).join(" ") || metric);
}

/** By what they are of, as a person counts. @param {Series[]} series @param {string[]} metrics @returns {Series[]} */
export function inOrder(series, metrics) {
  const rank = (/** @type {Series} */ { metric }) => metrics.indexOf(metric);
  const name = (/** @type {Series} */ { tags }) => Object.values(tags).join(" ");
  return [...series].sort((a, b) => rank(a) - rank(b) || (a.device ?? -1) - (b.device ?? -1) || name(a).localeCompare(name(b), "en", { numeric: true }));
}
