// The overview: takes the stream, keeps the fleet and the view, draws one frame for whatever has changed.

import { HoverCard } from "./card.js";
import { byId, setAttribute } from "./dom.js";
import { explainGpu, explainHost } from "./explain.js";
import { Fleet, hasProblem } from "./fleet.js";
import { parseFilter, toggleWord } from "./filter.js";
import { TileKeys } from "./keys.js";
import { KioskBoard } from "./kiosk.js";
import { HostList } from "./list.js";
import { Live } from "./live.js";
import { Mine } from "./mine.js";
import { arrange, tagKeys } from "./order.js";
import { connect } from "./shared.js";
import { Tools } from "./tools.js";
import { Totals } from "./totals.js";
import { Users } from "./users.js";
import { readView, writeView } from "./view.js";
import { Where } from "./where.js";

const TYPING_SETTLES_MS = 600;

class Overview {
  constructor() {
    this.fleet = new Fleet();
    this.view = readView(location.search);
    this.test = parseFilter(this.view.q);
    this.live = new Live();
    this.totals = new Totals();
    this.users = new Users(this.view, (word) => this.change({ q: toggleWord(this.view.q, word) }), (change) => this.change(change));
    this.where = new Where();
    this.tools = new Tools(() => this.view, (change, isTyping) => this.change(change, isTyping));
    this.mine = new Mine(() => this.view, (change) => this.change(change));
    this.place = byId("hosts");
    const changed = () => this.wantFrame();
    this.list = this.view.kiosk ? new KioskBoard(byId("rows"), changed) : new HostList(byId("rows"), changed);
    this.keys = new TileKeys(this.list, () => this.list.draw(this.how));
    this.card = new HoverCard(this.list.body, (target) => this.explain(target), cardTarget);
    this._isFrameWanted = false;
    this._isArranged = false;
    this._typedAt = 0;
    addEventListener("popstate", () => this.setView(readView(location.search)));
    setInterval(() => this.tick(), 1000);
  }

  /** @returns {import("./row.js").How} */
  get how() {
    return { look: this.view.look, nowMs: Date.now() };
  }

  /** @param {import("./stream.js").Told} told */
  hear(told) {
    if (told.kind === "health") {
      this.live.set(told.health, told.sinceMs);
      if (told.isRefused && !this.live.isLive) leaveIfSignedOut();
    } else {
      performance.mark("update");
      this.fleet.apply(JSON.parse(told.text), Date.now());
      this._isArranged = false;
    }
    this.wantFrame();
  }

  /** @param {Partial<import("./view.js").View>} change @param {boolean} [isTyping] a word that is being typed is one step of the way back */
  change(change, isTyping = false) {
    this.setView({ ...this.view, ...change });
    const address = location.pathname + writeView(this.view) + location.hash;
    if (address === location.pathname + location.search + location.hash) return;
    const goesOn = isTyping && Date.now() - this._typedAt < TYPING_SETTLES_MS;
    this._typedAt = isTyping ? Date.now() : 0;
    if (goesOn) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }

  /** @param {import("./view.js").View} view */
  setView(view) {
    if (view.q !== this.view.q) this.test = parseFilter(view.q);
    this.view = view;
    this._isArranged = false;
    this.wantFrame();
  }

  wantFrame() {
    if (this._isFrameWanted) return;
    this._isFrameWanted = true;
    requestAnimationFrame(() => {
      this._isFrameWanted = false;
      this.draw();
    });
  }

  draw() {
    if (!this._isArranged && this.fleet.totals) this.arrange();
    this.list.draw(this.how);
    this.keys.keepStop();
    this.card.refresh();
    this.live.draw(this.fleet.newestAge(Date.now()));
    if (performance.getEntriesByName("update", "mark").length) {
      performance.measure("overview-update", "update");
      performance.clearMarks("update");
      performance.clearMeasures("overview-update");
    }
  }

  arrange() {
    this._isArranged = true;
    const { fleet, view } = this;
    document.body.dataset.look = view.look;
    const arranged = arrange(fleet, view, this.test, Date.now());
    this.list.set(arranged.items);
    setAttribute(this.place, "aria-rowcount", String(arranged.items.length + 1));
    const isEmpty = fleet.hosts.size === 0;
    byId("no-host").hidden = !isEmpty;
    byId("overview").hidden = isEmpty;
    byId("no-match").hidden = isEmpty || arranged.hosts > 0;
    this.place.hidden = arranged.hosts === 0;
    this.totals.draw(fleet);
    this.users.draw(fleet.users, view);
    this.where.draw(fleet);
    this.mine.draw(view, fleet.users.map((user) => user.user));
    this.tools.draw(view, { shown: arranged.hosts, all: fleet.hosts.size, gpus: arranged.gpus, tagKeys: tagKeys(fleet.hosts.values()), counts: this.counts() });
  }

  /** @returns {Record<string, number>} */
  counts() {
    const { free = 0, idle = 0 } = this.fleet.totals ?? {};
    let problems = 0;
    for (const host of this.fleet.hosts.values()) problems += Number(hasProblem(host));
    return { free, idle, problems };
  }

  tick() {
    if (document.hidden) return;
    this.list.tick(this.how);
    this.live.draw(this.fleet.newestAge(Date.now()));
    this.card.refresh();
  }

  /** @param {Element} target */
  explain(target) {
    const row = [...this.list.rows.values()].find((each) => each.element.contains(target));
    const host = row?.host;
    if (!host) return null;
    if (!target.classList.contains("tile")) return explainHost(host, Date.now());
    const gpu = host.gpus[[.../** @type {Element} */ (target.parentElement).children].indexOf(target)];
    return gpu ? explainGpu(host, gpu, Date.now()) : null;
  }
}

/** An EventSource isn't told why it gets no stream; the page itself is then sent to sign in. */
async function leaveIfSignedOut() {
  try {
    const { status } = await fetch(location.href, { method: "HEAD", headers: { "X-Requested-With": "cluster-dash" } });
    if (status === 401) location.reload();
  } catch {
    // The server is away, which the page says already.
  }
}

/** @param {Element} node */
function cardTarget(node) {
  return node.closest(".tile, .host .name, .host .age, .host .noted");
}

const SIDE_BY_SIDE = "(min-width: 1240px)";
if (!matchMedia(SIDE_BY_SIDE).matches) for (const part of document.querySelectorAll("aside details")) part.removeAttribute("open");

const page = new Overview();
const { worker, stream } = document.body.dataset;
connect(worker ?? "", (stream ?? "") + (page.view.kiosk ? "&kiosk=1" : ""), (told) => page.hear(told));
byId("clear-filter").addEventListener("click", () => page.change({ q: "" }));
page.wantFrame();
