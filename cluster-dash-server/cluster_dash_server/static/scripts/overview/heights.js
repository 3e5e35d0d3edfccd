// Takes how high each kind of row is, gives where every row of a long list stands, without drawing them.

const GUESS_PX = 48;

export class Heights {
  constructor() {
    /** @type {Map<string, number>} pixels by shape; rows of one shape are equally high */
    this._known = new Map();
    this._tops = new Float64Array(1);
    this.count = 0;
  }

  /** @param {string} shape */
  knows(shape) {
    return this._known.has(shape);
  }

  /** @param {string} shape @param {number} px @returns {boolean} whether that is news */
  learn(shape, px) {
    const before = this._known.get(shape) ?? GUESS_PX;
    this._known.set(shape, px);
    return before !== px;
  }

  forget() {
    this._known.clear();
  }

  /** @param {string[]} shapes in the order of the rows */
  lay(shapes) {
    this.count = shapes.length;
    if (this._tops.length < shapes.length + 1) this._tops = new Float64Array(Math.ceil(shapes.length * 1.5) + 1);
    let top = 0;
    shapes.forEach((shape, index) => {
      this._tops[index] = top;
      top += this._known.get(shape) ?? GUESS_PX;
    });
    this._tops[shapes.length] = top;
  }

  /** @param {number} index */
  top(index) {
    return this._tops[index] ?? 0;
  }

  get total() {
    return this.top(this.count);
  }

  /** First row that reaches below `from`, and the row after the last that begins above `to`. @param {number} from @param {number} to @returns {[number, number]} */
  range(from, to) {
    const first = Math.max(0, this._after(from) - 1);
    return [first, Math.max(first, this._after(to))];
  }

  /** How many rows begin above this pixel. @param {number} px */
  _after(px) {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.top(middle) < px) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
