// Takes words and a width, gives the lines that they fit in.

const MOST_LINES = 3;

/** None where they don't fit. @param {string} text @param {number} width @param {(text: string) => number} measure @returns {string[]} */
export function wrapped(text, width, measure) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1) ?? ""} ${word}`.trim();
    if (lines.length > 0 && measure(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.length <= MOST_LINES && lines.every((line) => measure(line) <= width) ? lines : [];
}
