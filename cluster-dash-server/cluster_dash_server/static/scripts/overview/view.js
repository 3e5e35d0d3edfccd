// Takes the address of the page, gives what of the fleet is looked at and how; and the way back.

/**
 * @typedef {object} View
 * @property {string} q  the filter's words
 * @property {string} sort
 * @property {"asc" | "desc"} dir
 * @property {string} group  none, model, tag, state or tag:<key>
 * @property {"work" | "power"} look
 * @property {string} users  by what the table of users is sorted
 * @property {"asc" | "desc"} usersDir
 * @property {boolean} kiosk
 */

export const SORTS = ["name", "age", "free", "gpus", "util", "cpu", "mem", "disk", "problems"];
export const USER_SORTS = ["gpus", "name", "idle", "mem", "util"];
export const LOOKS = ["work", "power"];

/** Names and ages from the lowest, everything else the most first. @param {string} sort @returns {"asc" | "desc"} */
export const firstDirection = (sort) => (sort === "name" || sort === "age" ? "asc" : "desc");

/** What an address says that nobody understands counts as not said. @param {string} search @returns {View} */
export function readView(search) {
  const asked = new URLSearchParams(search);
  const kiosk = asked.has("kiosk") && !["0", "false", "no"].includes(asked.get("kiosk") ?? "");
  const sort = oneOf(SORTS, asked.get("sort")) ?? (kiosk ? "problems" : "name");
  const users = oneOf(USER_SORTS, asked.get("users")) ?? "gpus";
  const group = asked.get("group") ?? "none";
  return {
    q: (asked.get("q") ?? "").slice(0, 2000),
    sort,
    dir: direction(asked.get("dir")) ?? firstDirection(sort),
    group: ["model", "tag", "state"].includes(group) || /^tag:./.test(group) ? group : "none",
    look: /** @type {"work" | "power"} */ (oneOf(LOOKS, asked.get("look")) ?? "work"),
    users,
    usersDir: direction(asked.get("users_dir")) ?? firstDirection(users),
    kiosk,
  };
}

/** @param {string | null} word @returns {"asc" | "desc" | null} */
const direction = (word) => (word === "asc" || word === "desc" ? word : null);

/** The same head again turns the order round. @param {{ sort: string, dir: "asc" | "desc" }} now @param {string} sort @returns {{ sort: string, dir: "asc" | "desc" }} */
export function turned(now, sort) {
  if (now.sort !== sort) return { sort, dir: firstDirection(sort) };
  return { sort, dir: now.dir === "asc" ? "desc" : "asc" };
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
  if (view.users !== "gpus") told.set("users", view.users);
  if (view.usersDir !== firstDirection(view.users)) told.set("users_dir", view.usersDir);
  if (view.kiosk) told.set("kiosk", "1");
  const text = told.toString();
  return text ? `?${text}` : "";
}
