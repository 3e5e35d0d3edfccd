// Makes a menu that closes by Escape, and when the focus leaves it.

import { make } from "../overview/dom.js";

/** @param {HTMLElement} label @param {...HTMLElement} things */
export function menuOf(label, ...things) {
  const menu = make("details", "menu", label, make("ul", "", ...things.map((each) => make("li", "", each))));
  closing(menu, label);
  return menu;
}

/** @param {HTMLDetailsElement} menu @param {HTMLElement} label */
export function closing(menu, label) {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    label.focus();
    event.stopPropagation();
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(/** @type {Node | null} */ (event.relatedTarget))) menu.open = false;
  });
}
