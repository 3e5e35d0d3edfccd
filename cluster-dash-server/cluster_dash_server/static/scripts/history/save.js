// Takes a chart, gives it as a picture: its title and its lines' names stand in it, as the canvas has neither.

/** @typedef {import("./lines.js").Look} Look */

const PAD_PX = 12;
const LINE_PX = 18;

/** @param {HTMLCanvasElement} canvas @param {string} title @param {Look[]} looks those that are shown @returns {Promise<Blob | null>} */
export function pictureOf(canvas, title, looks) {
  const ratio = canvas.width / Math.max(1, canvas.clientWidth);
  const rows = rowsOf(looks, canvas.clientWidth - 2 * PAD_PX);
  const picture = document.createElement("canvas");
  picture.width = canvas.width;
  picture.height = canvas.height + (LINE_PX * (rows.length + 1) + 2 * PAD_PX) * ratio;
  const to = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  const style = getComputedStyle(document.documentElement);
  to.scale(ratio, ratio);
  to.fillStyle = style.getPropertyValue("--card");
  to.fillRect(0, 0, picture.width, picture.height);
  to.fillStyle = style.getPropertyValue("--ink");
  to.font = font("600 14px");
  to.fillText(title, PAD_PX, PAD_PX + LINE_PX - 4);
  to.drawImage(canvas, 0, LINE_PX + PAD_PX, canvas.clientWidth, canvas.clientHeight);
  to.font = font("12px");
  rows.forEach((row, at) => drawRow(to, row, LINE_PX + PAD_PX + canvas.clientHeight + LINE_PX * (at + 1), style.getPropertyValue("--ink")));
  return new Promise((give) => picture.toBlob(give));
}

/** @param {string} size */
const font = (size) => `${size} ${getComputedStyle(document.body).fontFamily}`;

/** @typedef {{ look: Look, left: number }[]} Row */

/** @param {Look[]} looks @param {number} width @returns {Row[]} */
function rowsOf(looks, width) {
  const ruler = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  ruler.font = font("12px");
  /** @type {Row[]} */
  const rows = [[]];
  let left = 0;
  for (const look of looks) {
    const wide = 22 + ruler.measureText(look.name).width;
    if (left > 0 && left + wide > width) {
      rows.push([]);
      left = 0;
    }
    rows.at(-1)?.push({ look, left });
    left += wide + 14;
  }
  return rows;
}

/** @param {CanvasRenderingContext2D} to @param {Row} row @param {number} bottom @param {string} ink */
function drawRow(to, row, bottom, ink) {
  for (const { look, left } of row) {
    to.fillStyle = look.colour;
    to.fillRect(PAD_PX + left, bottom - 6, 14, 3);
    to.fillStyle = ink;
    to.fillText(look.name, PAD_PX + left + 20, bottom);
  }
}

/** @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
