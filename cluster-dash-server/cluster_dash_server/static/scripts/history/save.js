// Takes a chart, gives it as a picture: its title and its lines' names stand in it, as the canvas has neither.

/** @typedef {import("./lines.js").Look} Look */

const PAD_PX = 12;
const LINE_PX = 18;
const NAME_PX = 20; // from where its line is shown to its name

/** @param {HTMLCanvasElement} canvas @param {string} title @param {string} subtitle @param {Look[]} looks those that are shown @returns {Promise<Blob | null>} */
export function pictureOf(canvas, title, subtitle, looks) {
  const ratio = canvas.width / Math.max(1, canvas.clientWidth);
  const width = canvas.clientWidth - 2 * PAD_PX;
  const rows = rowsOf(looks, width);
  const head = 2 * LINE_PX + PAD_PX;
  const picture = document.createElement("canvas");
  picture.width = canvas.width;
  picture.height = canvas.height + (head + LINE_PX * rows.length + PAD_PX) * ratio;
  const to = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink");
  to.scale(ratio, ratio);
  to.fillStyle = style.getPropertyValue("--card");
  to.fillRect(0, 0, picture.width, picture.height);
  to.fillStyle = ink;
  to.font = font("600 14px");
  to.fillText(cut(to, title, width), PAD_PX, PAD_PX + LINE_PX - 4);
  to.fillStyle = style.getPropertyValue("--dim");
  to.font = font("12px");
  to.fillText(cut(to, subtitle, width), PAD_PX, PAD_PX + 2 * LINE_PX - 4);
  to.drawImage(canvas, 0, head, canvas.clientWidth, canvas.clientHeight);
  rows.forEach((row, at) => drawRow(to, row, head + canvas.clientHeight + LINE_PX * (at + 1) - 4, ink));
  return new Promise((give) => picture.toBlob(give));
}

/** As much as there is room for. @param {CanvasRenderingContext2D} to @param {string} text @param {number} width */
function cut(to, text, width) {
  const letters = [...text];
  if (to.measureText(text).width <= width) return text;
  while (letters.length > 0 && to.measureText(`${letters.join("")}…`).width > width) letters.pop();
  return `${letters.join("")}…`;
}

/** @param {string} size */
const font = (size) => `${size} ${getComputedStyle(document.body).fontFamily}`;

/** @typedef {{ look: Look, name: string, left: number }[]} Row */

/** @param {Look[]} looks @param {number} width @returns {Row[]} */
function rowsOf(looks, width) {
  const ruler = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  ruler.font = font("12px");
  /** @type {Row[]} */
  const rows = [[]];
  let left = 0;
  for (const look of looks) {
    const name = cut(ruler, look.name, width - NAME_PX);
    const wide = NAME_PX + ruler.measureText(name).width;
    if (left > 0 && left + wide > width) {
      rows.push([]);
      left = 0;
    }
    rows.at(-1)?.push({ look, name, left });
    left += wide + 14;
  }
  return rows;
}

/** @param {CanvasRenderingContext2D} to @param {Row} row @param {number} bottom @param {string} ink */
function drawRow(to, row, bottom, ink) {
  for (const { look, name, left } of row) {
    to.strokeStyle = look.colour;
    to.lineWidth = 3;
    to.setLineDash(look.dash);
    to.beginPath();
    to.moveTo(PAD_PX + left, bottom - 4);
    to.lineTo(PAD_PX + left + 14, bottom - 4);
    to.stroke();
    to.fillStyle = ink;
    to.fillText(name, PAD_PX + left + NAME_PX, bottom);
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
