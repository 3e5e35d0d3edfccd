// Takes the stream's address, gives its messages to this tab: by the worker that all tabs share, else by a stream of its own.

import { Stream } from "./stream.js";

const STILL_HERE_MS = 10_000;
const WORKER_ANSWERS_WITHIN_MS = 4_000;

/** @param {string} workerUrl @param {string} streamUrl @param {(told: import("./stream.js").Told) => void} tell */
export function connect(workerUrl, streamUrl, tell) {
  if (typeof SharedWorker === "undefined") return own(streamUrl, tell);
  try {
    shared(new SharedWorker(workerUrl, { type: "module", name: streamUrl }), () => own(streamUrl, tell), tell);
  } catch {
    own(streamUrl, tell);
  }
}

/** @param {SharedWorker} worker @param {() => void} fallBack @param {(told: import("./stream.js").Told) => void} tell */
function shared(worker, fallBack, tell) {
  const { port } = worker;
  let isInUse = true;
  const giveUp = () => {
    if (!isInUse) return;
    isInUse = false;
    port.postMessage("bye");
    fallBack();
  };
  const waiting = setTimeout(giveUp, WORKER_ANSWERS_WITHIN_MS);
  worker.addEventListener("error", giveUp);
  port.addEventListener("message", ({ data }) => {
    clearTimeout(waiting);
    if (isInUse && data.kind !== "hello") tell(data);
  });
  port.start();
  const say = () => isInUse && port.postMessage(document.hidden ? "hidden" : "visible");
  document.addEventListener("visibilitychange", say);
  globalThis.addEventListener("pagehide", () => port.postMessage("bye"));
  globalThis.addEventListener("pageshow", say);
  setInterval(() => !document.hidden && say(), STILL_HERE_MS);
  say();
}

/** @param {string} streamUrl @param {(told: import("./stream.js").Told) => void} tell */
function own(streamUrl, tell) {
  const stream = new Stream(streamUrl, tell);
  const look = () => (document.hidden ? stream.stop() : stream.start());
  document.addEventListener("visibilitychange", look);
  globalThis.addEventListener("pagehide", () => stream.stop());
  globalThis.addEventListener("pageshow", look);
  look();
}
