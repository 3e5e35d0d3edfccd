// Takes a part of a page and how it shall be now, changes only what differs: what is selected, scrolled or has the focus stays.

/** @param {Element} part @param {Element} news whose nodes are moved into the part where it has none like them */
export function morph(part, news) {
  for (const { name } of [...part.attributes]) if (!news.hasAttribute(name)) part.removeAttribute(name);
  for (const { name, value } of news.attributes) if (part.getAttribute(name) !== value) part.setAttribute(name, value);
  let at = part.firstChild;
  for (const node of [...news.childNodes]) {
    const old = findAlike(at, node);
    if (!old) {
      part.insertBefore(node, at);
      continue;
    }
    at = removeUntil(at, old);
    if (old instanceof Element) morph(old, /** @type {Element} */ (node));
    else if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    at = old.nextSibling;
  }
  removeUntil(at, null);
}

/** The first sibling from `at` on that stands for the same thing; a text, which any text is like, only at its own place. @param {ChildNode | null} at @param {ChildNode} node */
function findAlike(at, node) {
  if (!(node instanceof Element)) return at && kindOf(at) === kindOf(node) ? at : null;
  for (let old = at; old; old = old.nextSibling) if (kindOf(old) === kindOf(node)) return old;
  return null;
}

/** What a table tells of is in data-name: another table is another thing, however alike it looks. @param {ChildNode} node */
function kindOf(node) {
  return node instanceof HTMLElement ? `${node.localName} ${node.className} ${node.dataset.name ?? ""}` : node.nodeName;
}

/** @param {ChildNode | null} at @param {ChildNode | null} end */
function removeUntil(at, end) {
  while (at && at !== end) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  return at;
}
