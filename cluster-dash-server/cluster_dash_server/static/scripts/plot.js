// The one module that knows Plotly: takes a figure (data and layout), draws it in the page's colours and the viewer's time.

/**
 * @typedef {number | Date} Time  Unix milliseconds, or as Plotly shows it in the viewer's zone
 * @typedef {{ type?: string, title?: unknown, range?: Time[], ticktext?: string[] } & Record<string, unknown>} Axis
 * @typedef {{ x: Time } & Record<string, unknown>} Words
 * @typedef {{ x0: Time, x1: Time } & Record<string, unknown>} Shape
 * @typedef {{ xaxis?: Axis, yaxis?: Axis, meta?: { title: string }, shapes?: Shape[], annotations?: Words[] } & Record<string, unknown>} Layout
 * @typedef {{ x: number[] } & Record<string, unknown>} Trace
 * @typedef {{ data: Trace[], layout: Layout }} Figure
 * @typedef {{ Plotly: { react(element: Element, data: unknown[], layout: unknown, config: unknown): Promise<void> } }} WithPlotly  what its script leaves behind
 */

const CONFIG = { responsive: true, displaylogo: false, displayModeBar: false };
const NARROW_PX = 500;
const NARROW_LABEL = 14;
/** A time, and below it the day where that is another; as the charts of a host have it. */
const TIMES = [
  { dtickrange: [null, 60_000], value: "%H:%M:%S\n%-d %b" },
  { dtickrange: [60_000, 43_200_000], value: "%H:%M\n%-d %b" },
  { dtickrange: [86_400_000, "M1"], value: "%-d %b\n%Y" },
  { dtickrange: ["M1", null], value: "%b\n%Y" },
];
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
      xaxis: { tickformatstops: TIMES, hoverformat: "%-d %b %Y, %H:%M", ...xaxis, ...(range ? { range } : {}) },
      shapes: shapes.map((shape) => ({ ...shape, x0: local(shape.x0), x1: local(shape.x1) })),
      annotations: annotations.map((words) => ({ ...words, x: local(words.x) })),
    },
  };
}

/** Of a host, or one of its GPUs, where names would leave no room for the bars: its age shows by how pale it is. @param {string} label whose signs may be HTML's entities */
export function narrowed(label) {
  const [, host = "", gpu = ""] = /^(.*?)( · [^·]*?)?(?: \([^)]* ago\))?$/su.exec(label) ?? [];
  const signs = host.match(/&\w+;|./gsu) ?? [];
  return (signs.length <= NARROW_LABEL ? host : `${signs.slice(0, NARROW_LABEL - 1).join("")}…`) + gpu;
}

/** What stands in a pale bar isn't white: Plotly reckons with the bar's colour as if it weren't pale. @param {Trace} trace */
function readable(trace) {
  const { opacity } = /** @type {{ opacity?: unknown }} */ (trace.marker ?? {});
  if (!Array.isArray(opacity)) return trace;
  const ink = colour("--ink");
  return { ...trace, insidetextfont: { color: opacity.map((each) => (each < 1 ? ink : undefined)) } };
}

/** @param {Layout} layout @param {number} width */
function fitting(layout, width) {
  const names = layout.yaxis?.ticktext;
  if (width >= NARROW_PX || !names) return layout;
  return { ...layout, yaxis: { ...layout.yaxis, ticktext: names.map(narrowed) } };
}

/** Draws or redraws; what the viewer zoomed to and hid stays. @param {Element} element @param {Figure} figure */
export function draw(element, figure) {
  const { data, layout } = inLocalTime({ ...figure, data: figure.data.map(readable) });
  const { Plotly } = /** @type {WithPlotly} */ (/** @type {unknown} */ (globalThis));
  return Plotly.react(element, data, themed({ uirevision: "same", ...fitting(layout, element.clientWidth) }), CONFIG);
}
