// A chart of made-up numbers: shows that this browser draws charts, without any host.

import { byId } from "./overview/dom.js";
import { draw } from "./plot.js";
import { onThemeChange } from "./theme.js";

const steps = Array.from({ length: 60 }, (_, step) => step);
const figure = {
  data: [
    { type: "scatter", mode: "lines", name: "sine", x: steps, y: steps.map((step) => 50 + 40 * Math.sin(step / 6)) },
    { type: "scatter", mode: "lines", name: "cosine", x: steps, y: steps.map((step) => 50 + 40 * Math.cos(step / 6)) },
  ],
  layout: { height: 320, xaxis: { title: { text: "step" } }, yaxis: { title: { text: "made-up value" } } },
};

const show = () => draw(byId("chart"), figure);
show();
onThemeChange(show);
