/**
 * What was said and done, as elements. Only what has changed since the last drawing is drawn anew.
 *
 * @module
 */

import { el, setChildren } from "./dom.js";
import { Custom, Notice, Reply, Said } from "./messages.js";

/**
 * @typedef {object} Actions what a person can do with what is shown
 * @property {((callId: string, verdict: string, reason: string) => Promise<void>) | null} answer null for recordings
 * @property {((callId: string) => Promise<void>) | null} cancel null for the calls of an agent inside a call
 * @property {((entry: string) => Promise<void>) | null} fork
 * @property {((entry: string, text: string, media: any[]) => Promise<void>) | null} edit
 *
 * @typedef {{element: HTMLElement, show: (item: any) => boolean, tick?: (now: number) => void}} Part
 */

export class Transcript {
  /**
   * @param {Actions} actions
   * @param {boolean} [inside] whether it shows an agent inside a call
   */
  constructor(actions, inside = false) {
    this.#actions = actions;
    this.#title = el("p", { class: "agent", hidden: true });
    this.#list = el("div", { class: "items" });
    this.element = el("div", { class: inside ? "transcript inside" : "transcript" }, this.#title, this.#list);
  }

  #actions;
  #title;
  #list;
  /** @type {import("./state.js").View | null} */
  #view = null;
  /** @type {Map<string, Part>} */
  #parts = new Map();
  #isBehind = false;

  /**
   * Show a conversation as it is now.
   *
   * @param {import("./state.js").View} view
   * @param {string} [title] of an agent inside a call
   * @returns {boolean} false if it is to be called again for the next frame
   */
  show(view, title = "") {
    if (view === this.#view && !this.#isBehind) return true;
    this.#view = view;
    this.#title.textContent = title;
    this.#title.hidden = !title;
    this.#isBehind = false;
    const elements = view.items.map((item) => this.#shown(item));
    setChildren(this.#list, elements);
    this.#forget(new Set(view.items.map((item) => item.key)));
    return !this.#isBehind;
  }

  /** Show the time that has passed. @param {number} now in milliseconds */
  tick(now) {
    for (const part of this.#parts.values()) part.tick?.(now);
  }

  /** Show nothing, and keep nothing of what was shown. */
  clear() {
    this.#parts.clear();
    this.#list.replaceChildren();
    this.#view = null;
  }

  /** @param {import("./state.js").Item} item */
  #shown(item) {
    const part = this.#parts.get(item.key) ?? this.#make(item);
    this.#parts.set(item.key, part);
    if (!part.show(item)) this.#isBehind = true;
    return part.element;
  }

  /** @param {import("./state.js").Item} item @returns {Part} */
  #make(item) {
    switch (item.kind) {
      case "user":
        return new Said(this.#actions);
      case "reply":
        return new Reply(this.#actions, () => new Transcript(inner(this.#actions), true));
      case "custom":
        return new Custom();
      default:
        return new Notice();
    }
  }

  /** @param {Set<string>} kept */
  #forget(kept) {
    for (const key of this.#parts.keys()) if (!kept.has(key)) this.#parts.delete(key);
  }
}

/** An agent inside a call can be answered; the rest is the conversation's own. @param {Actions} actions */
const inner = (actions) => ({ ...actions, cancel: null, fork: null, edit: null });
