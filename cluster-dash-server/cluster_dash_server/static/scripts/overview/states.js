// The words for what a host or a GPU is, as in views/states.py, where they are explained; a test holds both.

/** @typedef {import("./fleet.js").Host} Host */

/** @type {Record<string, string>} */
export const HOST_WORDS = {
  "up": "up",
  "fault": "fault",
  "conflict": "conflict",
  "stale": "stale",
  "offline": "offline",
  "silent": "silent"
};

/** @type {Record<string, string>} */
export const GPU_WORDS = {
  "free": "free",
  "busy": "in use",
  "idle": "held idle",
  "lost": "lost",
  "hung": "hung",
  "error": "error",
  "unknown": "not known",
  "off": "not reporting"
};

/** Of a host that is up conflict, where another machine wants its name, or fault of a GPU. @param {Host} host */
export function stateOf(host) {
  if (host.is !== "up") return host.is;
  const kinds = host.notes.map((note) => note.kind);
  return kinds.includes("conflict") ? "conflict" : kinds.includes("gpu") ? "fault" : "up";
}
