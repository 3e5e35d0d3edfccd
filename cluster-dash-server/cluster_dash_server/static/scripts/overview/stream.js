// Takes the address of the server's stream, gives its messages, and whether the server is there. Runs in a page or a worker.
//
// The server may close after each message: EventSource comes back by itself, or at once where the server has more. After an HTTP error it gives up for good, and
// then it is made anew, later each time.

/** @typedef {"connecting" | "live" | "reconnecting" | "away"} Health */
/** @typedef {{ kind: "message", text: string } | { kind: "health", health: Health, sinceMs: number, isRefused: boolean }} Told  refused: something answers, but no stream */

const RECONNECTING_AFTER_MS = 6_000;
const AWAY_AFTER_MS = 15_000;
const STUCK_AFTER_MS = 45_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const TICK_MS = 1_000;

export class Stream {
  /**
   * @param {string} url @param {(told: Told) => void} tell
   * @param {{ open?: (url: string) => EventSource, now?: () => number, random?: () => number }} [outside]
   */
  constructor(url, tell, { open = (address) => new EventSource(address), now = Date.now, random = Math.random } = {}) {
    this._url = url;
    this._tell = tell;
    this._open = open;
    this._now = now;
    this._random = random;
    /** @type {EventSource | null} */
    this._source = null;
    this._lastId = "";
    this._heardMs = 0; // the server's last sign of life
    this._openedMs = 0;
    this._failures = 0;
    this._isRefused = false;
    /** @type {Health} */
    this._health = "connecting";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._pause = undefined;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._ticking = undefined;
  }

  get isRunning() {
    return this._ticking !== undefined;
  }

  /** @returns {Told} */
  get health() {
    return { kind: "health", health: this._health, sinceMs: this._heardMs, isRefused: this._isRefused };
  }

  start() {
    if (this.isRunning) return;
    this._heardMs ||= this._now();
    this._openedMs = this._now();
    this._ticking = setInterval(() => this.tick(), TICK_MS);
    this._connect();
  }

  /** Nobody looks. */
  stop() {
    clearInterval(this._ticking);
    clearTimeout(this._pause);
    this._ticking = undefined;
    this._pause = undefined;
    this._source?.close();
    this._source = null;
    this._failures = 0;
    if (this._health === "live") this._heardMs = 0;
    this._health = "connecting";
  }

  /** Everything from the beginning: what is known can't be trusted. */
  renew() {
    this._lastId = "";
    this._source?.close();
    this._connect();
  }

  _connect() {
    clearTimeout(this._pause);
    this._pause = undefined;
    this._openedMs = this._now();
    const since = this._lastId ? `&since=${encodeURIComponent(this._lastId)}` : "";
    const source = this._open(this._url + since);
    this._source = source;
    source.addEventListener("open", () => source === this._source && this._heard());
    source.addEventListener("error", () => source === this._source && this._failed(source));
    source.addEventListener("hosts", (event) => {
      if (source !== this._source) return;
      this._lastId = event.lastEventId;
      this._tell({ kind: "message", text: event.data });
      this._heard();
    });
    source.addEventListener("more", () => {
      if (source !== this._source) return;
      source.close();
      this._connect();
    });
  }

  _heard() {
    this._heardMs = this._now();
    this._openedMs = this._heardMs;
    this._failures = 0;
    this._isRefused = false;
    this._say("live");
  }

  /** @param {EventSource} source */
  _failed(source) {
    this._openedMs = this._now();
    if (source.readyState !== 2) return; // it tries again by itself
    source.close();
    this._failures += 1;
    this._isRefused = true;
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this._failures - 1));
    this._pause = setTimeout(() => this._connect(), longest * (0.5 + this._random() / 2));
    if (this._failures > 1) this._say(this._silentMs() > AWAY_AFTER_MS ? "away" : "reconnecting");
  }

  _silentMs() {
    return this._now() - this._heardMs;
  }

  /** Once a second: says what silence means, and ends a connection on which nothing comes. */
  tick() {
    const silent = this._silentMs();
    if (silent > AWAY_AFTER_MS) this._say("away");
    else if (silent > RECONNECTING_AFTER_MS && this._health === "live") this._say("reconnecting");
    if (this._pause === undefined && this._now() - this._openedMs > STUCK_AFTER_MS) {
      this._source?.close();
      this._connect();
    }
  }

  /** @param {Health} health */
  _say(health) {
    if (health === this._health) return;
    this._health = health;
    this._tell(this.health);
  }
}
