// Takes what a card explains, its size and the screen's, gives where the card stands: never over what it explains.

const GAP_PX = 8;

/**
 * @typedef {{ left: number, right: number, top: number, bottom: number }} Box
 * @typedef {{ width: number, height: number }} Size
 * @typedef {{ left: number, top: number, height: number }} Place  `height`: the most that it may take there, in pixels
 */

/** Below, else above, else beside; where it fits nowhere, above or below in what room there is. @param {Box} at @param {Size} card @param {Size} view @returns {Place} */
export function placeOf(at, card, view) {
  const left = Math.max(GAP_PX, Math.min(at.left, view.width - card.width - GAP_PX));
  const [above, below] = [at.top - 2 * GAP_PX, view.height - at.bottom - 2 * GAP_PX];
  if (card.height <= below) return { left, top: at.bottom + GAP_PX, height: below };
  if (card.height <= above) return { left, top: at.top - card.height - GAP_PX, height: above };
  const besides = [at.right + GAP_PX, at.left - card.width - GAP_PX].find((x) => x >= GAP_PX && x + card.width <= view.width - GAP_PX);
  const whole = view.height - 2 * GAP_PX;
  if (besides !== undefined && card.height <= whole) {
    return { left: besides, top: Math.max(GAP_PX, Math.min(at.top, view.height - card.height - GAP_PX)), height: whole };
  }
  return below >= above ? { left, top: at.bottom + GAP_PX, height: below } : { left, top: GAP_PX, height: above };
}
