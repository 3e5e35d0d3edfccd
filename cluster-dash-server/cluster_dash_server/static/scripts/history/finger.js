// Takes a finger, moves a plot's cursor and chooses a range: what uPlot does for a mouse alone.

const LEAST_DRAG_PX = 16;

/** A finger drags over a range as a mouse does; up and down it scrolls the page. @param {import("../vendor/uPlot.esm.js")} plot @param {{ point: (left: number, top: number) => void, select: (left: number, width: number) => void }} options */
export function byFinger(plot, { point, select }) {
  const { over } = plot;
  /** @type {number | null} */
  let start = null;
  const at = (/** @type {PointerEvent} */ event) => Math.max(0, Math.min(over.clientWidth, event.clientX - over.getBoundingClientRect().left));
  const mark = (/** @type {number} */ left, /** @type {number} */ width) => plot.setSelect({ left, top: 0, width, height: width && over.clientHeight }, false);
  /** @param {string} type @param {(event: PointerEvent) => void} step */
  const on = (type, step) => over.addEventListener(type, (event) => event instanceof PointerEvent && event.pointerType === "touch" && step(event));
  on("pointerdown", (event) => {
    start = event.isPrimary ? at(event) : null;
    if (start === null) mark(0, 0);
  });
  on("pointermove", (event) => {
    if (start === null) return;
    const now = at(event);
    point(now, event.clientY - over.getBoundingClientRect().top);
    const width = Math.abs(now - start);
    mark(Math.min(start, now), width < LEAST_DRAG_PX ? 0 : width);
  });
  on("pointerup", () => {
    const { left, width } = plot.select;
    mark(0, 0);
    if (start !== null && width > 0) select(left, width);
    start = null;
  });
  on("pointercancel", () => {
    start = null;
    mark(0, 0);
  });
}
