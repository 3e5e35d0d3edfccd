// Takes a refreshing step, runs it every few seconds while the tab is visible, and says in the page's head how old it is.

import { byId } from "./overview/dom.js";

const INTERVAL_MS = 5000;

const place = byId("freshness");

export function showAnswered() {
  place.textContent = "live";
  place.classList.remove("lost");
  place.dataset.since = "";
}

export function showLost() {
  if (!place.dataset.since) {
    place.dataset.since = new Date().toLocaleTimeString();
  }
  place.textContent = `server doesn't answer since ${place.dataset.since}`;
  place.classList.add("lost");
}

/** The answer, where it is a good one. Who has been signed out is sent to sign in by the page itself. @param {string} address @param {string} accept */
export async function ask(address, accept) {
  const response = await fetch(address, { headers: { Accept: accept, "X-Requested-With": "cluster-dash" } });
  if (response.status === 401) location.reload();
  if (!response.ok) throw new Error(String(response.status));
  return response;
}

/** One step at a time; a hidden tab asks nothing, and asks at once when it is looked at again. @param {() => Promise<void>} step @param {() => void} answered @param {() => void} lost */
export function every(step, answered, lost) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let running = false;
  const run = async () => {
    clearTimeout(timer);
    if (document.hidden || running) return;
    running = true;
    try {
      await step();
      answered();
    } catch {
      lost();
    }
    running = false;
    timer = setTimeout(run, INTERVAL_MS);
  };
  answered();
  timer = setTimeout(run, INTERVAL_MS);
  document.addEventListener("visibilitychange", run);
}
