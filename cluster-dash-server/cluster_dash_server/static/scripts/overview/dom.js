// Makes and changes elements. Names from outside only ever become text; what hasn't changed isn't touched.

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} [className] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Of a page that has it. @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** @param {Element} element @param {string} text */
export function setText(element, text) {
  const first = element.firstChild;
  if (first instanceof Text && element.childNodes.length === 1) {
    if (first.data !== text) first.data = text;
  } else if (first || text) {
    element.textContent = text;
  }
}

/** @param {Element} element @param {string} name @param {string | null} value null: without it */
export function setAttribute(element, name, value) {
  if (value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}

/** @param {Element} element @param {string} className */
export function setClass(element, className) {
  if (element.className !== className) element.className = className;
}

/** By the CSSOM, which the Content-Security-Policy allows where a style attribute in HTML isn't. @param {HTMLElement | SVGElement} element @param {string} name @param {string} value */
export function setStyle(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/** As many children as there are things, those that are there kept. @template T @param {Element} parent @param {T[]} things @param {() => Element} create @param {(child: Element, thing: T, index: number) => void} update */
export function fill(parent, things, create, update) {
  while (parent.childElementCount > things.length) parent.lastElementChild?.remove();
  while (parent.childElementCount < things.length) parent.append(create());
  things.forEach((thing, index) => update(/** @type {Element} */ (parent.children[index]), thing, index));
}
