/**
 * One conversation that is open on the page: its view, its stream, and what was said to it and has not entered it yet.
 *
 * @module
 */

import * as api from "./api.js";
import { textOf } from "./calls.js";
import { Connection } from "./connection.js";
import { EMPTY, fold, fromSnapshot } from "./state.js";

/** @typedef {{id: string, text: string, when: string, media: number}} Queued */

export class Talk {
  /**
   * @param {string} id
   * @param {boolean} isNew whether it was made just now, so that nothing of it is past
   * @param {{changed: () => void, deleted: () => void, happened: (event: any) => void}} listener `changed` is called after
   *   each change; `happened` for each event that is no replay of the past
   */
  constructor(id, isNew, listener) {
    this.id = id;
    this.#listener = listener;
    this.#connection = new Connection(id, isNew, {
      begin: () => this.#set({ view: EMPTY }),
      event: (event, at) => this.#take(event, at),
      snapshot: (snapshot) => this.#restart(snapshot),
      changed: (about) => this.#learn(about),
      deleted: () => listener.deleted(),
      status: (status) => this.#set({ status }),
    });
  }

  /** @type {import("./state.js").View} */
  view = EMPTY;
  /** @type {import("./connection.js").Status} */
  status = "connecting";
  title = "";
  model = "";
  state = "idle";
  /** @type {number | null} in US dollars; null where it is not known */
  cost = null;
  /** @type {any} */
  usage = null;
  /** @type {Queued[]} */
  queued = [];
  #listener;
  #connection;

  /** Whether a run goes on, which a message would steer. */
  get isRunning() {
    return this.view.running || this.state !== "idle";
  }

  /** @param {string} text @param {string[]} uploads @param {string} when */
  async say(text, uploads, when) {
    const { id, started } = await api.say(this.id, { text, uploads, when });
    const isKnown = this.view.items.some((item) => item.kind === "user" && item.id === id);
    if (!isKnown && !started) this.#set({ queued: [...this.queued, { id, text, when, media: uploads.length }] });
  }

  /** Try at once to reach the server again. */
  retry() {
    this.#connection.retry();
  }

  close() {
    this.#connection.close();
  }

  /** @param {any} event @param {number | null} at */
  #take(event, at) {
    const view = fold(this.view, event, at);
    if (event.type === "agent_start") this.state = "running";
    if (event.type === "agent_end") this.state = "idle";
    this.#set({ view, queued: this.#stillQueued(event) });
    if (at !== null) this.#listener.happened(event);
  }

  /** What has entered the conversation waits no longer. @param {any} event */
  #stillQueued(event) {
    if (event.type === "message_end" && event.message.role === "user") {
      return this.queued.filter((one) => one.id !== event.message.id);
    }
    return this.queued;
  }

  /** @param {any} snapshot */
  #restart(snapshot) {
    this.#set({ view: fromSnapshot(snapshot), queued: (snapshot.queued ?? []).map(queuedOf) });
    this.#learn(snapshot);
  }

  /** @param {any} about what is known of the conversation, besides what is in it */
  #learn(about) {
    for (const name of /** @type {const} */ (["title", "model", "state", "cost", "usage"])) {
      if (about[name] !== undefined) this[name] = about[name];
    }
    this.#listener.changed();
  }

  /** @param {Partial<Talk>} changes */
  #set(changes) {
    Object.assign(this, changes);
    this.#listener.changed();
  }
}

/** @param {any} message that waits @returns {Queued} */
function queuedOf(message) {
  const content = message.content ?? [];
  const media = content.filter((/** @type {any} */ block) => block.type !== "text").length;
  return { id: message.id, text: textOf(content), when: "steer", media };
}
