// Takes a question to the store, gives its answer and the server's time; says when to ask again where it has none.

/** The store doesn't answer now. */
export class Away extends Error {
  /** @param {string} message @param {number} retryAfterS */
  constructor(message, retryAfterS) {
    super(message);
    this.retryAfterS = retryAfterS;
  }
}

const RETRY_S = 5;
const OFF_S = 2; // the Date header has whole seconds

let aheadMs = 0;

/** Unix seconds by the server's clock, as far as the viewer's differs by more than that header tells. */
export const serverNow = () => (Date.now() + aheadMs) / 1000;

/** @param {string} address @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function ask(address, signal) {
  const response = await asked(address, signal);
  if (response.status === 401) location.reload();
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (date) aheadMs = Math.abs(date - Date.now()) > OFF_S * 1000 ? date - Date.now() : 0;
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const after = Number(response.headers.get("Retry-After") ?? NaN);
  throw new Away(answer.msg ?? `the server answers ${response.status}`, after > 0 ? after : RETRY_S);
}

/** @param {string} address @param {AbortSignal} [signal] */
async function asked(address, signal) {
  try {
    return await fetch(address, { headers: { Accept: "application/json", "X-Requested-With": "cluster-dash" }, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Away("the server doesn't answer", RETRY_S);
  }
}

/** At most so many at once, in the order in which they come. @param {number} most */
export function inTurn(most) {
  let running = 0;
  /** @type {(() => void)[]} */
  const waiting = [];
  /** @template T @param {() => Promise<T>} step @returns {Promise<T>} */
  return async (step) => {
    if (running >= most) await new Promise((go) => waiting.push(() => go(undefined)));
    running += 1;
    try {
      return await step();
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}
