// Takes the figures that the server built, draws them, and asks the page's own address for new ones as JSON.

import { ask, every, showAnswered, showLost } from "./freshness.js";
import { byId } from "./overview/dom.js";
import { draw } from "./plot.js";
import { onThemeChange } from "./theme.js";

const container = byId("figures");
/** @type {import("./plot.js").Figure[]} */
let figures = JSON.parse(byId("figures-json").textContent ?? "[]");

function card() {
  const figure = document.createElement("figure");
  figure.className = "card chart";
  const plot = document.createElement("div");
  plot.className = "plot";
  figure.append(document.createElement("figcaption"), plot);
  return figure;
}

function drawAll() {
  while (container.children.length > figures.length) container.lastElementChild?.remove();
  while (container.children.length < figures.length) container.append(card());
  figures.forEach((figure, index) => {
    const [caption, plot] = /** @type {[Element, Element]} */ ([.../** @type {Element} */ (container.children[index]).children]);
    caption.textContent = figure.layout.meta?.title ?? "";
    draw(plot, figure);
  });
}

async function refresh() {
  const response = await ask(location.href, "application/json");
  const fresh = await response.json();
  if (figures.length === 0 && fresh.length > 0) document.querySelector(".empty")?.remove();
  figures = fresh;
  drawAll();
}

drawAll();
onThemeChange(drawAll);
every(refresh, showAnswered, showLost);
