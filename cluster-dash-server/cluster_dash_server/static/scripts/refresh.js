// Takes the page's own address, gives the parts marked data-live anew every few seconds while the tab is visible.

import { ask, every, showAnswered, showLost } from "./freshness.js";
import { morph } from "./morph.js";
import { markWide } from "./wide.js";

async function refresh() {
  const response = await ask(location.href, "text/html");
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const news = fresh.querySelectorAll("[data-live]");
  document.querySelectorAll("[data-live]").forEach((part, index) => {
    const next = news[index];
    if (next) morph(part, next);
  });
  markWide(); // at once: what has lost its place in the order of Tab loses the focus when it is drawn
}

markWide();
addEventListener("resize", markWide);
every(refresh, showAnswered, showLost);
