// Draws "Where can I run?": the best host for what is asked, and the lines to paste.

import { byId, fill, make, setText } from "./dom.js";
import { devicesLine, placesFor, shellWord } from "./free.js";
import { counted, duration, instanceName, modelName, printable } from "./wording.js";

/** @typedef {import("./fleet.js").Fleet} Fleet */

const ALSO = 3;

export class Where {
  constructor() {
    this.count = /** @type {HTMLSelectElement} */ (byId("where-gpus"));
    this.room = /** @type {HTMLSelectElement} */ (byId("where-mem"));
    this.answer = byId("where-answer");
    this.line = byId("where-line");
    this.copy = byId("where-copy");
    this.also = byId("where-also");
    /** @type {Fleet | null} */
    this._fleet = null;
    for (const select of [this.count, this.room]) select.addEventListener("change", () => this._fleet && this.draw(this._fleet));
    this.copy.addEventListener("click", () => this._copy());
  }

  /** @param {Fleet} fleet */
  draw(fleet) {
    this._fleet = fleet;
    const count = Number(this.count.value);
    const places = placesFor(fleet.hosts.values(), count, Number(this.room.value));
    const [best, ...others] = places;
    byId("where-best").hidden = !best;
    if (!best) {
      setText(this.answer, `No host has ${count === 1 ? "such a GPU" : `${count} such GPUs`} free now.`);
    } else {
      const quiet = best.quiet_s == null ? "" : `, quiet for ${duration(best.quiet_s)}`;
      setText(this.answer, `${printable(best.host.name)}: ${whatOf(best)}${quiet}`);
      setText(this.line, `ssh ${shellWord(best.host.name)}\nexport ${devicesLine(best)}`);
    }
    this.also.hidden = others.length === 0;
    fill(this.also, others.slice(0, ALSO), () => make("li", "", make("a"), make("small")), (item, place) => {
      const [link, free] = /** @type {[HTMLAnchorElement, Element]} */ ([...item.children]);
      setText(link, printable(place.host.name));
      link.href = `/host/${encodeURIComponent(place.host.name)}`;
      setText(free, place.instance ? instanceName(place.instance.name) : `${place.free} free`);
    });
  }

  async _copy() {
    const isCopied = await copyText(this.line.textContent ?? "");
    setText(this.copy, isCopied ? "copied" : "select and copy");
    if (!isCopied) getSelection()?.selectAllChildren(this.line);
    setTimeout(() => setText(this.copy, "copy"), 2000);
  }
}

/** @param {import("./free.js").Place} place */
function whatOf({ host, gpus, instance }) {
  const model = modelName(gpus[0]?.model ?? host.model) || "GPU";
  return instance ? `${instanceName(instance.name)} of GPU ${gpus[0]?.i ?? "?"}, ${model}` : counted(gpus.length, model, `× ${model}`);
}

/** The clipboard's own way is there only over TLS and on loopback; most clusters' pages are neither. @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make("textarea", "for-readers");
    area.value = text;
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    return isCopied;
  }
}
