// Says in the page's head whether what is shown is live, and how old the newest of it is.

import { byId, setAttribute, setText } from "./dom.js";
import { clock, duration } from "./wording.js";

/** @typedef {import("./stream.js").Health} Health */

const NOT_LIVE_AFTER_S = 60;

export class Live {
  constructor() {
    this.place = byId("freshness");
    this.words = byId("freshness-words");
    this.spoken = byId("freshness-spoken");
    this.banner = byId("not-live");
    /** @type {Health} */
    this.health = "connecting";
    this.sinceMs = 0;
  }

  /** @param {Health} health @param {number} sinceMs the server's last sign of life */
  set(health, sinceMs) {
    this.health = health;
    this.sinceMs = sinceMs;
  }

  /** Whether the numbers may be taken as those of now. */
  get isLive() {
    return this.health === "live" || this.health === "connecting";
  }

  /** @param {number | null} newestS */
  draw(newestS) {
    setAttribute(this.place, "data-health", this.health === "live" && newestS !== null && newestS > NOT_LIVE_AFTER_S ? "quiet" : this.health);
    setText(this.words, this._words(newestS));
    // A screen reader hears of a change, not of every second.
    setText(this.spoken, this.health === "live" ? "live" : this.health === "connecting" ? "" : this._words(null));
    document.documentElement.classList.toggle("not-live", !this.isLive);
    this.banner.hidden = this.isLive;
    if (!this.isLive) setText(this.banner, `${this._since()}: what is shown are the last values. It goes on by itself when the server answers.`);
  }

  _since() {
    return `The server doesn't answer since ${clock(this.sinceMs / 1000)}`;
  }

  /** @param {number | null} newestS */
  _words(newestS) {
    switch (this.health) {
      case "live": return newestS === null ? "live" : `live · newest ${duration(newestS)} old`;
      case "reconnecting": return "reconnecting…";
      case "away": return `server away since ${clock(this.sinceMs / 1000)}`;
      default: return newestS === null ? "connecting…" : `connecting… · newest ${duration(newestS)} old`;
    }
  }
}
