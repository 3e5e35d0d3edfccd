// The one module that knows Plotly: takes a figure (data and layout), draws it in the page's colours and the viewer's time.

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };
const COLORWAY = ["#1f77b4", "#e07b00", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const colours = () => ({
  first: colour("--plot-1"), second: colour("--plot-2"), ink: colour("--ink"), dim: colour("--dim"),
});

function themed(layout) {
  const axis = { gridcolor: colour("--plot-grid"), zerolinecolor: colour("--line"), linecolor: colour("--line") };
  return {
    colorway: COLORWAY,
    margin: { l: 60, r: 16, t: 12, b: 44 },
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

/** Plotly takes numbers on a date axis as UTC, and Date objects as the viewer's own time. */
function inLocalTime(trace, layout) {
  if (layout.xaxis?.type !== "date") return trace;
  return { ...trace, x: trace.x.map((milliseconds) => new Date(milliseconds)) };
}

/** Draws or redraws; what the viewer zoomed to and hid stays. */
export function draw(element, figure) {
  const layout = { uirevision: "same", ...figure.layout };
  return globalThis.Plotly.react(element, figure.data.map((trace) => inLocalTime(trace, layout)), themed(layout), CONFIG);
}

export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/** Plotly reads a subset of HTML in every text. */
export function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export function shortened(text, width) {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
