// A SharedWorker: one stream for all tabs of this browser. Its name is the stream's address. Runs only while a tab is looked at.

import { Fleet } from "./fleet.js";
import { Stream } from "./stream.js";

const SILENT_TAB_MS = 30_000; // a visible tab says every 10 s that it is there; one that crashed says nothing

/** @type {Map<MessagePort, { visible: boolean, heardMs: number }>} */
const tabs = new Map();
const fleet = new Fleet();
const scope = /** @type {{ name: string, addEventListener: (kind: "connect", listener: (event: MessageEvent) => void) => void }} */ (/** @type {unknown} */ (self));

const stream = new Stream(scope.name, (told) => {
  if (told.kind === "message") fleet.apply(JSON.parse(told.text), Date.now());
  for (const [port, tab] of tabs) if (tab.visible) port.postMessage(told);
});

function startOrStop() {
  const isLookedAt = [...tabs.values()].some((tab) => tab.visible);
  if (isLookedAt) stream.start();
  else stream.stop();
}

/** @param {MessagePort} port @param {string} said */
function hear(port, said) {
  if (said === "bye") {
    tabs.delete(port);
  } else {
    const before = tabs.get(port)?.visible ?? false;
    tabs.set(port, { visible: said !== "hidden", heardMs: Date.now() });
    if (!before && said !== "hidden" && stream.isRunning && fleet.version >= 0) {
      port.postMessage({ kind: "message", text: JSON.stringify(fleet.snapshot(Date.now())) });
      port.postMessage(stream.health);
    }
  }
  startOrStop();
}

scope.addEventListener("connect", (event) => {
  const port = /** @type {MessagePort} */ (event.ports[0]);
  port.addEventListener("message", ({ data }) => hear(port, data));
  port.start();
  port.postMessage({ kind: "hello" });
});

setInterval(() => {
  const now = Date.now();
  for (const [port, tab] of tabs) if (tab.visible && now - tab.heardMs > SILENT_TAB_MS) tabs.delete(port);
  startOrStop();
}, 10_000);
