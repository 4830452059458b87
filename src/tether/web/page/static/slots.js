/**
 * Places for streams, which all tabs of a browser share.
 *
 * A browser opens six connections to a server over HTTP/1.1 at most, for all its tabs. If each held a stream, nothing
 * else would get through. So there are four places; whoever looks at a fifth tab takes the place of another.
 *
 * @module
 */

const NAMES = ["tether-stream-0", "tether-stream-1", "tether-stream-2", "tether-stream-3"];

export class Slot {
  /**
   * @param {() => void} gained there is a place for the stream of this tab
   * @param {() => void} lost another tab has taken it, or all are taken; `gained` is called once one is free
   */
  constructor(gained, lost) {
    this.#gained = gained;
    this.#lost = lost;
  }

  #gained;
  #lost;
  /** Ends the wait, or gives the place back. */
  #turn = new AbortController();
  #isHeld = false;

  /** Take a place: a free one, that of another tab if this one is in use, else the next that is given back. */
  async take() {
    this.leave();
    const turn = this.#turn;
    // Browsers have no locks for pages that come over plain HTTP from another machine.
    if (!navigator.locks) return this.#gained();
    for (const name of NAMES) if (await this.#request(name, { ifAvailable: true }, turn)) return;
    if (turn.signal.aborted) return;
    if (document.hasFocus()) await this.#request(nextVictim(), { steal: true }, turn);
    else this.#wait(turn);
  }

  /** Give the place back, or wait for it no longer. */
  leave() {
    this.#turn.abort();
    this.#turn = new AbortController();
    this.#isHeld = false;
  }

  /** @param {AbortController} turn */
  #wait(turn) {
    this.#lost();
    for (const name of NAMES) void this.#request(name, { signal: turn.signal }, turn);
  }

  /**
   * @param {string} name @param {LockOptions} options @param {AbortController} turn
   * @returns {Promise<boolean>} whether the place is held
   */
  #request(name, options, turn) {
    return new Promise((resolve) => {
      const held = navigator.locks.request(name, options, (lock) => {
        const isWanted = lock !== null && !turn.signal.aborted && !this.#isHeld;
        if (isWanted) this.#hold();
        resolve(isWanted);
        return isWanted ? new Promise((release) => turn.signal.addEventListener("abort", release)) : undefined;
      });
      held.catch(() => {
        if (!turn.signal.aborted) this.#stolen();
        resolve(false);
      });
    });
  }

  #hold() {
    this.#isHeld = true;
    this.#gained();
  }

  #stolen() {
    this.leave();
    this.#wait(this.#turn);
  }
}

/** The place that was taken longest ago. */
function nextVictim() {
  const last = Number(localStorage.getItem("tether-stream") ?? 0);
  const next = (last + 1) % NAMES.length;
  localStorage.setItem("tether-stream", String(next));
  return NAMES[next];
}
