// Takes the address of the page, gives what of the fleet is looked at and how; and the way back.

/**
 * @typedef {object} View
 * @property {string} q  the filter's words
 * @property {string} sort
 * @property {"asc" | "desc"} dir
 * @property {string} group  none, model, tag, state or tag:<key>
 * @property {"work" | "power"} look
 * @property {boolean} kiosk
 */

export const SORTS = ["name", "age", "free", "gpus", "util", "cpu", "mem", "disk", "problems"];
export const LOOKS = ["work", "power"];

/** Names and ages from the lowest, everything else the most first. @param {string} sort @returns {"asc" | "desc"} */
export const firstDirection = (sort) => (sort === "name" || sort === "age" ? "asc" : "desc");

/** What an address says that nobody understands counts as not said. @param {string} search @returns {View} */
export function readView(search) {
  const asked = new URLSearchParams(search);
  const kiosk = asked.has("kiosk") && !["0", "false", "no"].includes(asked.get("kiosk") ?? "");
  const sort = oneOf(SORTS, asked.get("sort")) ?? (kiosk ? "problems" : "name");
  const group = asked.get("group") ?? "none";
  return {
    q: (asked.get("q") ?? "").slice(0, 2000),
    sort,
    dir: /** @type {"asc" | "desc"} */ (oneOf(["asc", "desc"], asked.get("dir")) ?? firstDirection(sort)),
    group: ["model", "tag", "state"].includes(group) || /^tag:./.test(group) ? group : "none",
    look: /** @type {"work" | "power"} */ (oneOf(LOOKS, asked.get("look")) ?? "work"),
    kiosk,
  };
}

/** @param {string[]} words @param {string | null} word */
const oneOf = (words, word) => (word !== null && words.includes(word) ? word : null);

/** Only what isn't so anyway; "" for the plain page. @param {View} view */
export function writeView(view) {
  const told = new URLSearchParams();
  if (view.q.trim()) told.set("q", view.q.trim());
  if (view.sort !== (view.kiosk ? "problems" : "name")) told.set("sort", view.sort);
  if (view.dir !== firstDirection(view.sort)) told.set("dir", view.dir);
  if (view.group !== "none") told.set("group", view.group);
  if (view.look !== "work") told.set("look", view.look);
  if (view.kiosk) told.set("kiosk", "1");
  const text = told.toString();
  return text ? `?${text}` : "";
}
