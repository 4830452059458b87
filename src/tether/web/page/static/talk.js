/**
 * One conversation that is open on the page: its view, its stream, and what was said to it and has not entered it yet.
 *
 * @module
 */

import * as api from "./api.js";
import { textOf } from "./calls.js";
import { Connection } from "./connection.js";
import { EMPTY, emptyAfter, fold, fromSnapshot } from "./state.js";

/**
 * What was said and waits.
 *
 * @typedef {object} Queued
 * @property {string} id
 * @property {string} text
 * @property {string} when as it was said here; empty where somebody else said it
 * @property {number} since in milliseconds
 */

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
      begin: () => this.#set({ view: emptyAfter(this.view) }),
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
  /** @type {Map<string, string>} when what was said here is to enter a run */
  #said = new Map();

  /** Whether a run goes on, which a message would steer. */
  get isRunning() {
    return this.view.running || this.state !== "idle";
  }

  /**
   * @param {string} text @param {string[]} uploads @param {string} when
   * @returns {Promise<string | null>} what a command has told that said nothing to the agent; null where something was
   */
  async say(text, uploads, when) {
    const answer = await api.say(this.id, { text, uploads, when });
    if ("told" in answer) return answer.told;
    const { id, started } = answer;
    if (started) return null;
    this.#said.set(id, when);
    if (!this.queued.some((one) => one.id === id)) this.#learn({ queued: [...this.queued, { id, text }] });
    return null;
  }

  /** Ask how it is, without a stream: for a tab that nobody sees. */
  async look() {
    const { conversations } = await api.list({});
    const listed = conversations.find(({ id }) => id === this.id);
    if (listed) this.#learn({ title: listed.title, state: listed.state });
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
    this.#set({ view });
    if (event.type === "message_end" && event.message.role === "user") this.#learn({ queued: this.queued });
    if (at !== null) this.#listener.happened(event);
  }

  /** @param {any} snapshot */
  #restart(snapshot) {
    this.#set({ view: fromSnapshot(snapshot, this.view) });
    this.#learn(snapshot);
  }

  /** @param {any} about what is known of the conversation, besides what is in it */
  #learn(about) {
    for (const name of /** @type {const} */ (["title", "model", "state", "cost", "usage"])) {
      if (about[name] !== undefined) this[name] = about[name];
    }
    if (about.queued) this.queued = this.#queuedOf(about.queued);
    this.#listener.changed();
  }

  /** What has not entered the conversation yet. @param {any[]} messages that wait @returns {Queued[]} */
  #queuedOf(messages) {
    const entered = new Set(this.view.items.map((item) => (item.kind === "user" ? item.id : "")));
    return messages
      .filter(({ id }) => !entered.has(id))
      .map(({ id, text, content }) => {
        const known = this.queued.find((one) => one.id === id);
        return known ?? { id, text: text ?? textOf(content), when: this.#said.get(id) ?? "", since: Date.now() };
      });
  }

  /** @param {Partial<Talk>} changes */
  #set(changes) {
    Object.assign(this, changes);
    this.#listener.changed();
  }
}
