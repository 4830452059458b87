/**
 * The stream of a conversation's events: it comes back after a reload, a sleep, a network that was away, and a restart
 * of the server.
 *
 * Only a tab that is seen holds a stream, and only a few of them: see `slots.js`. One that is hidden closes its own, and goes
 * on behind the last event once it is seen again.
 *
 * @module
 */

import { ApiError, eventsAddress, info, snapshot } from "./api.js";
import { Slot } from "./slots.js";

/**
 * @typedef {"connecting" | "live" | "away" | "hidden" | "paused" | "locked"} Status `away`: the server is not reached;
 *   `paused`: other tabs hold all streams; `locked`: the server does not know this browser any more
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
  /**
   * @param {string} id of the conversation
   * @param {boolean} isNew whether it was made just now, so that nothing of it is past
   * @param {Listener} listener
   */
  constructor(id, isNew, listener) {
    this.#id = id;
    this.#isNew = isNew;
    this.#listener = listener;
    const { signal } = this.#ended;
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
    window.addEventListener("pageshow", () => this.#look(), { signal });
    window.addEventListener("online", () => this.retry(), { signal });
    window.addEventListener("offline", () => this.#lose(), { signal });
    window.addEventListener("focus", () => this.#look(), { signal });
    this.#watchSleep(signal);
    this.#look();
  }

  #id;
  #isNew;
  #listener;
  #ended = new AbortController();
  /** @type {EventSource | null} */
  #source = null;
  #after = "0";
  #epoch = "";
  /** Whether the server has answered since the stream was opened. */
  #isGreeted = false;
  /** The number of the last event that had happened when the stream was opened. */
  #past = 0;
  #wait = FIRST_WAIT;
  #timer = 0;
  #slot = new Slot(
    () => this.#open(),
    () => this.#pause(),
  );
  #hasSlot = false;

  /** Try again at once. */
  retry() {
    this.#wait = FIRST_WAIT;
    if (this.#hasSlot) this.#open();
    else void this.#slot.take();
  }

  /** Follow the conversation no longer. */
  close() {
    this.#ended.abort();
    this.#rest();
  }

  #look() {
    if (document.visibilityState === "hidden") {
      this.#rest();
      this.#listener.status("hidden");
    } else if (!this.#source) this.retry();
  }

  #rest() {
    this.#drop();
    this.#hasSlot = false;
    this.#slot.leave();
  }

  #pause() {
    this.#drop();
    this.#hasSlot = false;
    this.#listener.status("paused");
  }

  #open() {
    this.#hasSlot = true;
    this.#drop();
    if (this.#ended.signal.aborted || document.visibilityState === "hidden") return;
    this.#isGreeted = false;
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

  /** @param {{epoch: string, number: number, state: string}} hello and what else is known of the conversation */
  #greet(hello) {
    const { epoch, number } = hello;
    if (epoch !== this.#epoch && this.#after === "0") this.#listener.begin();
    this.#isGreeted = true;
    this.#epoch = epoch;
    this.#past = this.#isNew ? 0 : number;
    this.#isNew = false;
    this.#wait = FIRST_WAIT;
    this.#listener.changed(hello);
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
    if (this.#ended.signal.aborted || !this.#hasSlot) return;
    this.#listener.status("away");
    const wait = this.#wait * (0.75 + Math.random() / 2);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
    this.#timer = window.setTimeout(() => void this.#comeBack(), wait);
  }

  async #comeBack() {
    try {
      await info();
      if (!this.#isGreeted) await snapshot(this.#id);
    } catch (error) {
      this.#understand(error instanceof ApiError ? error.status : 0);
      return;
    }
    this.#open();
  }

  /** @param {number} status with which the server refused; 0 where it was not reached */
  #understand(status) {
    if (status === 401) this.#listener.status("locked");
    else if (status === 404) this.#end();
    else this.#lose();
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
      if (now - seen > SLEPT && this.#hasSlot) this.retry();
      seen = now;
    }, LOOKED_AT);
    signal.addEventListener("abort", () => window.clearInterval(timer));
  }
}
