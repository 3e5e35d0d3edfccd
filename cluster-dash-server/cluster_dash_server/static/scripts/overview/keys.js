// The tiles of all hosts are one stop of the Tab key; arrows go from GPU to GPU and from host to host.

/** @typedef {import("./list.js").HostList | import("./kiosk.js").KioskBoard} HostList */

export class TileKeys {
  /** @param {HostList} list @param {() => void} drawNow */
  constructor(list, drawNow) {
    this._list = list;
    this._drawNow = drawNow;
    /** @type {HTMLElement | null} */
    this._stop = null;
    list.body.addEventListener("keydown", (event) => this._key(event));
    list.body.addEventListener("focusin", (event) => {
      const tile = /** @type {Element} */ (event.target).closest(".tile");
      if (tile instanceof HTMLElement) this._setStop(tile);
    });
  }

  /** After each frame: there is a tile to reach, and only one. */
  keepStop() {
    if (this._stop?.isConnected && this._stop.tabIndex === 0) return;
    const first = this._list.body.querySelector(".tile");
    if (first instanceof HTMLElement) this._setStop(first);
  }

  /** @param {HTMLElement} tile */
  _setStop(tile) {
    if (this._stop && this._stop !== tile) this._stop.tabIndex = -1;
    tile.tabIndex = 0;
    this._stop = tile;
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const tile = /** @type {Element} */ (event.target).closest(".tile");
    if (!tile?.parentElement || event.ctrlKey || event.metaKey || event.altKey) return;
    const column = [...tile.parentElement.children].indexOf(tile);
    const target = this._target(event.key, tile, column);
    if (!target) return;
    event.preventDefault();
    target.scrollIntoView({ block: "nearest" });
    target.focus();
  }

  /** @param {string} key @param {Element} tile @param {number} column @returns {HTMLElement | null} */
  _target(key, tile, column) {
    const tiles = /** @type {HTMLElement[]} */ ([.../** @type {Element} */ (tile.parentElement).children]);
    switch (key) {
      case "ArrowRight": return tiles[column + 1] ?? this._inRow(tile, 1, 0);
      case "ArrowLeft": return tiles[column - 1] ?? this._inRow(tile, -1, Infinity);
      case "ArrowDown": return this._inRow(tile, 1, column);
      case "ArrowUp": return this._inRow(tile, -1, column);
      case "Home": return tiles[0] ?? null;
      case "End": return tiles.at(-1) ?? null;
      default: return null;
    }
  }

  /** In the next row that has GPUs. @param {Element} tile @param {1 | -1} step @param {number} column @returns {HTMLElement | null} */
  _inRow(tile, step, column) {
    const items = this._list.items;
    const row = [...this._list.rows.values()].find((each) => each.element.contains(tile));
    let index = (row?.index ?? -1) + step;
    for (; index >= 0 && index < items.length; index += step) {
      const item = items[index];
      if (item?.kind === "host" && item.host.gpus.length) break;
    }
    const item = items[index];
    if (!item) return null;
    if (!this._list.rows.has(item.key)) {
      this._list.scrollTo(item.key);
      this._drawNow();
    }
    const tiles = this._list.rows.get(item.key)?.element.querySelectorAll(".tile") ?? [];
    return /** @type {HTMLElement | undefined} */ (tiles[Math.min(column, tiles.length - 1)]) ?? null;
  }
}
