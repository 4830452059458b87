/**
 * The stream of a conversation's events: it comes back after a reload, a sleep, a network that was away, and a restart
 * of the server.
 *
 * A browser opens six connections to a server over HTTP/1.1 at most, for all its tabs. So only a tab that is seen holds a
 * stream; one that is hidden closes it, and goes on behind the last event once it is seen again.
 *
 * @module
 */

import { ApiError, eventsAddress, info } from "./api.js";

/**
 * @typedef {"connecting" | "live" | "away" | "hidden" | "locked" | "closed"} Status `away`: the server is not reached;
 *   `locked`: it does not know this browser any more
 *
 * @typedef {object} Listener
 * @property {() => void} begin the conversation begins anew: all that was known of it is to be forgotten
 * @property {(event: any, at: number | null) => void} event
 * @property {(snapshot: any) => void} snapshot
 * @property {(about: any) => void} changed
 * @property {() => void} deleted
 * @property {(status: Status) => void} status
 */

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;
/** A clock that is looked at each few seconds has slept if it jumps further than this. */
const SLEPT = 20_000;
const LOOKED_AT = 5000;

export class Connection {
  /** @param {string} id of the conversation @param {Listener} listener */
  constructor(id, listener) {
    this.#id = id;
    this.#listener = listener;
    const { signal } = this.#ended;
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
    window.addEventListener("pageshow", () => this.#look(), { signal });
    window.addEventListener("online", () => this.retry(), { signal });
    window.addEventListener("offline", () => this.#lose(), { signal });
    this.#watchSleep(signal);
    this.#look();
  }

  #id;
  #listener;
  #ended = new AbortController();
  /** @type {EventSource | null} */
  #source = null;
  #after = "0";
  #epoch = "";
  /** The number of the last event that had happened when the stream was opened. */
  #past = 0;
  #wait = FIRST_WAIT;
  #timer = 0;

  /** Try again at once. */
  retry() {
    this.#wait = FIRST_WAIT;
    this.#open();
  }

  /** Follow the conversation no longer. */
  close() {
    this.#ended.abort();
    this.#drop();
  }

  #look() {
    if (document.visibilityState === "hidden") {
      this.#drop();
      this.#listener.status("hidden");
    } else if (!this.#source) this.retry();
  }

  #open() {
    this.#drop();
    if (this.#ended.signal.aborted || document.visibilityState === "hidden") return;
    this.#listener.status("connecting");
    const source = new EventSource(eventsAddress(this.#id, this.#after));
    this.#source = source;
    source.addEventListener("hello", (event) => this.#greet(JSON.parse(event.data)));
    source.addEventListener("snapshot", (event) => this.#restart(event));
    source.addEventListener("message", (event) => this.#take(event));
    source.addEventListener("changed", (event) => this.#listener.changed(JSON.parse(event.data)));
    source.addEventListener("deleted", () => this.#end());
    source.addEventListener("error", () => this.#lose());
  }

  /** @param {{epoch: string, number: number, state: string}} hello */
  #greet({ epoch, number, state }) {
    if (epoch !== this.#epoch && this.#after === "0") this.#listener.begin();
    this.#epoch = epoch;
    this.#past = number;
    this.#wait = FIRST_WAIT;
    this.#listener.changed({ state });
    this.#listener.status("live");
  }

  /** @param {MessageEvent} event */
  #take(event) {
    this.#after = event.lastEventId || this.#after;
    const number = Number(this.#after.slice(this.#after.lastIndexOf("-") + 1));
    this.#listener.event(JSON.parse(event.data), number > this.#past ? Date.now() : null);
  }

  /** @param {MessageEvent} event */
  #restart(event) {
    const snapshot = JSON.parse(event.data);
    this.#after = `${snapshot.epoch}-${snapshot.number}`;
    this.#listener.snapshot(snapshot);
  }

  #end() {
    this.close();
    this.#listener.deleted();
  }

  /** The stream broke, or could not be opened. The browser says nothing of the reason, so the server is asked. */
  #lose() {
    this.#drop();
    if (this.#ended.signal.aborted || document.visibilityState === "hidden") return;
    this.#listener.status("away");
    const wait = this.#wait * (0.75 + Math.random() / 2);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
    this.#timer = window.setTimeout(() => void this.#comeBack(), wait);
  }

  async #comeBack() {
    try {
      await info();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) this.#lose();
      else this.#listener.status("locked");
      return;
    }
    this.#open();
  }

  #drop() {
    window.clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  /** After a sleep of the machine a stream may seem open that nobody writes to. @param {AbortSignal} signal */
  #watchSleep(signal) {
    let seen = Date.now();
    const timer = window.setInterval(() => {
      const now = Date.now();
      if (now - seen > SLEPT && document.visibilityState === "visible") this.retry();
      seen = now;
    }, LOOKED_AT);
    signal.addEventListener("abort", () => window.clearInterval(timer));
  }
}
