// The one module that knows Plotly: takes a figure (data and layout), draws it in the page's colours and the viewer's time.

/**
 * @typedef {number | Date} Time  Unix milliseconds, or as Plotly shows it in the viewer's zone
 * @typedef {{ type?: string, title?: unknown, range?: Time[] } & Record<string, unknown>} Axis
 * @typedef {{ x: Time } & Record<string, unknown>} Words
 * @typedef {{ x0: Time, x1: Time } & Record<string, unknown>} Shape
 * @typedef {{ xaxis?: Axis, yaxis?: Axis, meta?: { title: string }, shapes?: Shape[], annotations?: Words[] } & Record<string, unknown>} Layout
 * @typedef {{ x: number[] } & Record<string, unknown>} Trace
 * @typedef {{ data: Trace[], layout: Layout }} Figure
 * @typedef {{ Plotly: { react(element: Element, data: unknown[], layout: unknown, config: unknown): Promise<void> } }} WithPlotly  what its script leaves behind
 */

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };
const COLORWAY = ["#1f77b4", "#e07b00", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f"];

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const colours = () => ({
  first: colour("--plot-1"), second: colour("--plot-2"), dim: colour("--dim"), others: colour("--plot-others"), ink: colour("--ink"),
});

/** @param {Layout} layout */
function themed(layout) {
  const axis = { gridcolor: colour("--plot-grid"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  return {
    colorway: COLORWAY,
    margin: { l: 60, r: 16, t: 12, b: 44 },
    // A finger scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    legend: { orientation: "h", y: -0.18, yanchor: "top" },
    ...layout,
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: 12, family: getComputedStyle(document.body).fontFamily },
    hoverlabel: { bgcolor: colour("--card"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
  };
}

/** Plotly takes numbers on a date axis as UTC, and Date objects as the viewer's own time. @param {Time} milliseconds */
const local = (milliseconds) => new Date(milliseconds);

/** @param {Figure} figure */
function inLocalTime(figure) {
  if (figure.layout.xaxis?.type !== "date") return figure;
  const { xaxis, shapes = [], annotations = [] } = figure.layout;
  const range = xaxis.range?.map(local);
  return {
    data: figure.data.map((trace) => ({ ...trace, x: trace.x.map(local) })),
    layout: {
      ...figure.layout,
      xaxis: { ...xaxis, ...(range ? { range } : {}) },
      shapes: shapes.map((shape) => ({ ...shape, x0: local(shape.x0), x1: local(shape.x1) })),
      annotations: annotations.map((words) => ({ ...words, x: local(words.x) })),
    },
  };
}

/** Draws or redraws; what the viewer zoomed to and hid stays. @param {Element} element @param {Figure} figure */
export function draw(element, figure) {
  const { data, layout } = inLocalTime(figure);
  const { Plotly } = /** @type {WithPlotly} */ (/** @type {unknown} */ (globalThis));
  return Plotly.react(element, data, themed({ uirevision: "same", ...layout }), CONFIG);
}
