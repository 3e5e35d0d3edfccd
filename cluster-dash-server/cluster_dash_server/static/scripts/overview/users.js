// Draws who uses what; a click on a user puts them into the filter, one on a head sorts.

import { byId, fill, make, setAttribute, setClass, setStyle, setText } from "./dom.js";
import { hasWord, wordFor } from "./filter.js";
import { sortUsers } from "./order.js";
import { turned } from "./view.js";
import { amount, counted, number, percent, printable } from "./wording.js";

/** @typedef {import("./fleet.js").User} User */
/** @typedef {import("./view.js").View} View */

const FIRST = 12;

export class Users {
  /** @param {View} view @param {(word: string) => void} pick @param {(change: Partial<View>) => void} change */
  constructor(view, pick, change) {
    this.heads = [.../** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-users]"))];
    this.body = byId("users-body");
    this.more = byId("users-more");
    this.empty = byId("users-empty");
    this.isWhole = false;
    /** @type {User[]} */
    this._users = [];
    this._view = view;
    this.more.addEventListener("click", () => {
      this.isWhole = !this.isWhole;
      this.draw(this._users, this._view);
    });
    for (const head of this.heads) {
      head.addEventListener("click", () => {
        const { sort, dir } = turned({ sort: this._view.users, dir: this._view.usersDir }, head.dataset.users ?? "gpus");
        change({ users: sort, usersDir: dir });
      });
    }
    this.body.addEventListener("click", (event) => {
      const word = /** @type {Element} */ (event.target).closest("button")?.dataset.word;
      if (word) pick(word);
    });
  }

  /** @param {User[]} users @param {View} view */
  draw(users, view) {
    this._users = users;
    this._view = view;
    const sorted = sortUsers(users, view.users, view.usersDir);
    const shown = this.isWhole ? sorted : sorted.slice(0, FIRST);
    fill(this.body, shown, makeUser, (row, user) => drawUser(row, user, view.q));
    for (const head of this.heads) {
      const isBy = head.dataset.users === view.users;
      setAttribute(/** @type {Element} */ (head.parentElement), "aria-sort", isBy ? (view.usersDir === "asc" ? "ascending" : "descending") : null);
    }
    this.empty.hidden = users.length > 0;
    this.more.hidden = users.length <= FIRST;
    setText(this.more, this.isWhole ? `only the first ${FIRST}` : `all ${amount(users.length)} users`);
    setAttribute(this.more, "aria-expanded", String(this.isWhole));
  }
}

function makeUser() {
  const name = make("th", "", make("button", "pick"));
  name.scope = "row";
  const bar = make("span", "bar", make("i"), make("b"));
  return make("tr", "", name, make("td", "n"), make("td", "n"), make("td", "n"), make("td", "", bar));
}

/** @param {Element} row @param {User} user @param {string} query */
function drawUser(row, user, query) {
  const [name, gpus, idle, memory, busy] = /** @type {[Element, Element, Element, Element, Element]} */ ([...row.children]);
  const button = /** @type {HTMLButtonElement} */ (name.firstElementChild);
  const word = wordFor("user", user.user);
  setText(button, printable(user.user));
  button.dataset.word = word;
  setAttribute(button, "aria-pressed", String(hasWord(query, word)));
  setAttribute(button, "title", printable(user.user));
  setText(gpus, amount(user.gpus));
  setAttribute(gpus, "title", `on ${counted(user.hosts, "host")}`);
  setText(idle, amount(user.idle));
  setClass(idle, user.idle ? "n warns" : "n");
  setText(memory, number(user.mem_gib));
  const bar = /** @type {HTMLElement} */ (busy.firstElementChild);
  setClass(bar, user.util == null ? "bar none" : "bar");
  setStyle(/** @type {HTMLElement} */ (bar.firstElementChild), "--share", `${user.util ?? 0}%`);
  setText(/** @type {Element} */ (bar.lastElementChild), percent(user.util));
}
