// Takes a refreshing step, runs it every few seconds while the tab is visible, and says in the page's head how old it is.

const INTERVAL_MS = 5000;

const place = document.getElementById("freshness");

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

/** One step at a time; a hidden tab asks nothing, and asks at once when it is looked at again. */
export function every(step, answered, lost) {
  let timer = 0;
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
