// Draws the fleet's totals: how many hosts are up, what the GPUs do, power, problems.

import { byId, setStyle, setText } from "./dom.js";
import { hasProblem } from "./fleet.js";
import { MISSING, amount, power } from "./wording.js";

/** @typedef {import("./fleet.js").Fleet} Fleet */

const PARTS = /** @type {const} */ (["busy", "idle", "free", "bad", "unknown", "off"]);

export class Totals {
  constructor() {
    this.place = byId("totals");
    this.reading = byId("reading");
  }

  /** @param {Fleet} fleet */
  draw({ totals, hosts, pending }) {
    if (!totals) return;
    document.body.classList.toggle("reading", pending > 0);
    this.reading.hidden = pending === 0;
    setText(this.reading, pending ? `Reading ${amount(hosts.size)} of ${amount(hosts.size + pending)} hosts: the sums aren't whole yet.` : "");
    this.place.hidden = totals.hosts === 0;
    let problems = 0;
    for (const host of hosts.values()) problems += Number(hasProblem(host));
    const [watts, unit] = power(totals.power_w);
    this._say("hosts-up", totals.up, `of ${amount(totals.hosts)}`);
    this._say("gpus-free", totals.gpus ? totals.free : MISSING, totals.gpus ? `of ${amount(totals.gpus)}` : "no GPU");
    this._say("gpus-busy", totals.gpus ? totals.busy : MISSING, "");
    this._say("gpus-idle", totals.gpus ? totals.idle : MISSING, "");
    this._say("power", watts, unit);
    this._say("problems", problems, "");
    byId("problems").classList.toggle("bad", problems > 0);
    byId("split").hidden = totals.gpus === 0;
    for (const part of PARTS) {
      setStyle(byId(`part-${part}`), "--share", `${(totals[part] / Math.max(1, totals.gpus)) * 100}%`);
      const legend = byId(`legend-${part}`);
      legend.hidden = totals[part] === 0 && part !== "busy" && part !== "idle" && part !== "free";
      setText(/** @type {Element} */ (legend.lastElementChild), amount(totals[part]));
    }
  }

  /** @param {string} id @param {string | number} number @param {string} beside */
  _say(id, number, beside) {
    const [bold, rest] = /** @type {[Element, Element]} */ ([...byId(id).querySelectorAll("b, small")]);
    setText(bold, typeof number === "number" ? amount(number) : number);
    setText(rest, beside);
  }
}
