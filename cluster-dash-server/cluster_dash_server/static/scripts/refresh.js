// Takes the page's own address, gives the parts marked data-live anew every few seconds while the tab is visible.

import { ask, every, showAnswered, showLost } from "./freshness.js";

async function refresh() {
  const response = await ask(location.href, "text/html");
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const news = fresh.querySelectorAll("[data-live]");
  document.querySelectorAll("[data-live]").forEach((part, index) => {
    const focused = part.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    const fresh = news[index];
    if (fresh) part.replaceChildren(...fresh.childNodes);
    if (focused) /** @type {HTMLElement | null} */ (part.querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus();
  });
}

every(refresh, showAnswered, showLost);
