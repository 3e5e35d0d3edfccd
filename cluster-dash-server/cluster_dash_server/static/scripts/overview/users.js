// Draws who uses what; a click puts the user into the filter.

import { byId, fill, make, setAttribute, setClass, setStyle, setText } from "./dom.js";
import { hasWord, wordFor } from "./filter.js";
import { MISSING, gib, percent, printable } from "./wording.js";

/** @typedef {import("./fleet.js").User} User */

const FIRST = 12;

export class Users {
  /** @param {(word: string) => void} pick */
  constructor(pick) {
    this.body = byId("users-body");
    this.more = byId("users-more");
    this.empty = byId("users-empty");
    this.isWhole = false;
    /** @type {User[]} */
    this._users = [];
    this._query = "";
    this.more.addEventListener("click", () => {
      this.isWhole = !this.isWhole;
      this.draw(this._users, this._query);
    });
    this.body.addEventListener("click", (event) => {
      const word = /** @type {Element} */ (event.target).closest("button")?.dataset.word;
      if (word) pick(word);
    });
  }

  /** @param {User[]} users @param {string} query */
  draw(users, query) {
    this._users = users;
    this._query = query;
    const shown = this.isWhole ? users : users.slice(0, FIRST);
    fill(this.body, shown, makeUser, (row, user) => drawUser(row, user, query));
    this.empty.hidden = users.length > 0;
    this.more.hidden = users.length <= FIRST;
    setText(this.more, this.isWhole ? `only the first ${FIRST}` : `all ${users.length} users`);
    setAttribute(this.more, "aria-expanded", String(this.isWhole));
  }
}

function makeUser() {
  const name = make("th", "", make("button", "pick"));
  name.scope = "row";
  const bar = make("span", "bar", make("i"), make("b"));
  return make("tr", "", name, make("td", "n"), make("td", "n"), make("td", "", bar));
}

/** @param {Element} row @param {User} user @param {string} query */
function drawUser(row, user, query) {
  const [name, gpus, memory, busy] = /** @type {[Element, Element, Element, Element]} */ ([...row.children]);
  const button = /** @type {HTMLButtonElement} */ (name.firstElementChild);
  const word = wordFor("user", user.user);
  setText(button, printable(user.user));
  button.dataset.word = word;
  setAttribute(button, "aria-pressed", String(hasWord(query, word)));
  setAttribute(button, "title", printable(user.user));
  setText(gpus, String(user.gpus));
  setAttribute(gpus, "title", `on ${user.hosts === 1 ? "1 host" : `${user.hosts} hosts`}${user.idle ? `, ${user.idle} held idle` : ""}`);
  setText(memory, user.mem_gib == null ? MISSING : `${gib(user.mem_gib)} GiB`);
  const bar = /** @type {HTMLElement} */ (busy.firstElementChild);
  setClass(bar, user.util == null ? "bar none" : "bar");
  setStyle(/** @type {HTMLElement} */ (bar.firstElementChild), "--share", `${user.util ?? 0}%`);
  setText(/** @type {Element} */ (bar.lastElementChild), percent(user.util));
}
