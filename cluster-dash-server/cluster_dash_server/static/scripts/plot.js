// The one module that knows Plotly: takes a figure (data and layout), draws it in the page's colours and the viewer's time.

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };
const COLORWAY = ["#1f77b4", "#e07b00", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f"];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const colours = () => ({
  first: colour("--plot-1"), second: colour("--plot-2"), dim: colour("--dim"), others: colour("--plot-others"),
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
const local = (milliseconds) => new Date(milliseconds);

function inLocalTime(figure) {
  if (figure.layout.xaxis?.type !== "date") return figure;
  const range = figure.layout.xaxis.range?.map(local);
  return {
    data: figure.data.map((trace) => ({ ...trace, x: trace.x.map(local) })),
    layout: { ...figure.layout, xaxis: { ...figure.layout.xaxis, ...(range ? { range } : {}) } },
  };
}

/** Draws or redraws; what the viewer zoomed to and hid stays. */
export function draw(element, figure) {
  const { data, layout } = inLocalTime(figure);
  return globalThis.Plotly.react(element, data, themed({ uirevision: "same", ...layout }), CONFIG);
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
