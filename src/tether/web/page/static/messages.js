/**
 * The items of a conversation: what a person said, what the model replied, and what else there is to tell.
 *
 * @module
 */

import { visible } from "./arguments.js";
import { textOf } from "./calls.js";
import { Card } from "./cards.js";
import { copyButton } from "./code.js";
import { button, el, setChildren, setText } from "./dom.js";
import { mediaElement } from "./media.js";
import { Prose } from "./prose.js";
import { Thoughts } from "./thoughts.js";

/** @typedef {import("./transcript.js").Actions} Actions */
/** @typedef {import("./transcript.js").Part} Part */

/** What a person said; it can be said differently, in a fork. */
export class Said {
  /** @param {Actions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#text = el("div", { class: "bubble" });
    this.#media = el("div", { class: "media-row" });
    this.#tools = el("div", { class: "tools" });
    this.element = el("article", { class: "said", "aria-label": "You" }, this.#media, this.#text, this.#tools);
  }

  #actions;
  #text;
  #media;
  #tools;
  /** @type {import("./state.js").UserItem | null} */
  #item = null;

  /** @param {import("./state.js").UserItem} item */
  show(item) {
    if (item === this.#item) return true;
    this.#item = item;
    const text = textOf(item.blocks);
    const media = item.blocks.filter((block) => block.type !== "text");
    this.#text.textContent = text;
    this.#text.hidden = !text;
    this.#media.replaceChildren(...media.map(mediaElement));
    this.#media.hidden = !media.length;
    this.#tools.replaceChildren(
      timeElement(item.time),
      copyButton(() => text),
    );
    if (this.#actions.edit && item.id) this.#tools.append(this.#editButton(item, text, media));
    return true;
  }

  /** @param {import("./state.js").UserItem} item @param {string} text @param {any[]} media */
  #editButton(item, text, media) {
    const press = () => this.#edit(item, text, media);
    return button({ label: "Edit in a fork", icon: "edit", class: "quiet small", press });
  }

  /** @param {import("./state.js").UserItem} item @param {string} text @param {any[]} media */
  #edit(item, text, media) {
    const field = /** @type {HTMLTextAreaElement} */ (
      el("textarea", {
        class: "field",
        rows: Math.min(12, text.split("\n").length + 1),
        "aria-label": "Your message",
      })
    );
    field.value = text;
    const leave = () => {
      form.replaceWith(this.#text);
      this.#tools.hidden = false;
      /** @type {HTMLElement | null} */ (this.#tools.lastElementChild)?.focus();
    };
    const send = button({
      label: "Send in a fork",
      class: "primary",
      press: async () => {
        if (!field.value.trim() && !media.length) return;
        send.disabled = true;
        await this.#actions.edit?.(item.id, field.value, media).then(leave, () => (send.disabled = false));
      },
    });
    const form = el(
      "div",
      { class: "edit" },
      field,
      el("div", { class: "row end" }, button({ label: "Cancel", press: leave }), send),
    );
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") leave();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send.click();
      event.stopPropagation();
    });
    this.#text.hidden = false;
    this.#text.replaceWith(form);
    this.#tools.hidden = true;
    field.focus();
  }
}

/** What the model replied: its text, its thoughts and its calls, in order. */
export class Reply {
  /**
   * @param {Actions} actions
   * @param {() => import("./transcript.js").Transcript} nested
   */
  constructor(actions, nested) {
    this.#actions = actions;
    this.#nested = nested;
    this.#blocks = el("div", { class: "blocks" });
    this.#end = el("p", { class: "note problem", hidden: true });
    this.#tools = el("div", { class: "tools", hidden: true });
    this.element = el("article", { class: "reply", "aria-label": "Assistant" }, this.#blocks, this.#end, this.#tools);
  }

  #actions;
  #nested;
  #blocks;
  #end;
  #tools;
  /** @type {import("./state.js").ReplyItem | null} */
  #item = null;
  /** @type {({type: string, element: HTMLElement, show: (block: any, whole: boolean) => boolean, tick?: (now: number) => void})[]} */
  #parts = [];
  #isBehind = false;

  /** @param {import("./state.js").ReplyItem} item */
  show(item) {
    if (item === this.#item && !this.#isBehind) return true;
    this.#isBehind = false;
    const elements = item.blocks.map((block, index) => (block ? this.#shown(block, index) : null));
    setChildren(this.#blocks, /** @type {Node[]} */ (elements.filter((element) => element !== null)));
    this.element.toggleAttribute("data-open", item.open);
    this.#showEnd(item);
    if (!item.open && this.#item?.open !== false) this.#showTools(item);
    this.#item = item;
    return !this.#isBehind;
  }

  /** @param {number} now */
  tick(now) {
    for (const part of this.#parts) part?.tick?.(now);
  }

  /** @param {import("./state.js").Block} block @param {number} index */
  #shown(block, index) {
    if (this.#parts[index]?.type !== block.type) this.#parts[index] = this.#make(block);
    const part = this.#parts[index];
    if (!part.show(block, !("open" in block && block.open))) this.#isBehind = true;
    return part.element;
  }

  /** @param {import("./state.js").Block} block */
  #make(block) {
    const { type } = block;
    if (type === "text") {
      const prose = new Prose();
      return {
        type,
        element: prose.element,
        show: (/** @type {any} */ { text }, /** @type {boolean} */ whole) => prose.show(text, whole),
      };
    }
    if (type === "thinking") return new Thoughts();
    if (type === "call") {
      const card = new Card(this.#actions, this.#nested);
      return { type, element: card.element, show: card.show.bind(card), tick: card.tick.bind(card) };
    }
    const element =
      type === "provider_item" ? el("p", { class: "note", text: providerText(block) }) : mediaElement(block);
    return { type, element, show: () => true };
  }

  /** @param {import("./state.js").ReplyItem} item */
  #showEnd(item) {
    const text = item.error ? visible(item.error.message) : (ENDS[item.stop ?? ""] ?? "");
    setText(this.#end, text);
    this.#end.hidden = !text;
    this.#end.classList.toggle("problem", item.stop !== "aborted");
  }

  /** @param {import("./state.js").ReplyItem} item */
  #showTools(item) {
    const text = item.blocks
      .filter((block) => block?.type === "text")
      .map((block) => /** @type {any} */ (block).text)
      .join("\n\n");
    const { fork } = this.#actions;
    const press = () => void fork?.(item.id).catch(() => null);
    this.#tools.replaceChildren(timeElement(item.time));
    if (text) this.#tools.append(copyButton(() => text));
    // A copy up to a reply with calls would lack their results.
    const hasCalls = item.blocks.some((block) => block?.type === "call");
    if (fork && item.id && !hasCalls)
      this.#tools.append(button({ label: "Fork from here", icon: "fork", class: "quiet small", press }));
    this.#tools.hidden = !text;
  }
}

/** A message of the application's own kind. */
export class Custom {
  constructor() {
    this.element = el("article", { class: "custom" });
  }

  /** @param {import("./state.js").CustomItem} item */
  show(item) {
    const data = typeof item.data === "string" ? item.data : JSON.stringify(item.data, null, 2);
    const pre = el("pre", { tabindex: "0", text: visible(data ?? "") });
    if (!this.element.firstChild) {
      this.element.append(el("details", {}, el("summary", { text: visible(item.name) }), pre));
    }
    return true;
  }
}

/** How a run ended, where it is not seen otherwise. */
export class Notice {
  constructor() {
    this.element = el("p", { class: "note notice" });
  }

  /** @param {import("./state.js").NoticeItem} item */
  show(item) {
    const limit = item.limit ? `The limit of ${item.limit} was reached.` : "";
    setText(this.element, visible(item.message) || limit || ENDS[item.reason] || `The run ended: ${item.reason}.`);
    this.element.classList.toggle("problem", item.reason === "error");
    return true;
  }
}

/** @type {Record<string, string>} */
const ENDS = {
  aborted: "Stopped.",
  error: "The model failed.",
  length: "The reply reached its greatest length.",
  refusal: "The model declined to answer.",
};

/** @param {any} block */
const providerText = (block) =>
  `${visible(String(block.data?.name ?? block.data?.type ?? "An item"))} (${visible(block.api)})`;

/** @param {number} time in seconds since the epoch */
function timeElement(time) {
  if (!time) return el("span");
  const date = new Date(time * 1000);
  const text = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return el("time", { datetime: date.toISOString(), title: date.toLocaleString(), text });
}
