/**
 * What a screen reader says: whole replies and questions, never single words of a text that arrives.
 *
 * @module
 */

import { visible } from "./arguments.js";
import { textOf } from "./calls.js";
import { el, setText } from "./dom.js";

export class Announcer {
  constructor() {
    this.#polite = el("div", { role: "status", "aria-live": "polite" });
    this.#urgent = el("div", { role: "alert", "aria-live": "assertive" });
    this.element = el("div", { class: "spoken" }, this.#polite, this.#urgent);
  }

  #polite;
  #urgent;

  /** @param {any} event that happened just now */
  tell(event) {
    switch (event.type) {
      case "message_end":
        if (event.message.role === "assistant") this.#say(spoken(textOf(event.message.content)));
        break;
      case "tool_execution_start":
        this.#say(`Running ${visible(event.name)}`);
        break;
      case "agent_end":
        this.#say(event.stop_reason === "stop" ? "" : `The run ended: ${event.stop_reason}`);
        break;
    }
  }

  /** @param {import("./state.js").Waiting[]} waiting the questions that are open */
  ask(waiting) {
    const names = waiting.map(({ name }) => visible(name)).join(", ");
    const text = names && `Needs your approval: ${names}. Press Alt and A to go to it.`;
    setText(this.#urgent, text);
  }

  /** @param {string} text */
  #say(text) {
    if (text) this.#polite.textContent = text;
  }
}

/** Without the marks of Markdown, which would be read aloud. @param {string} text */
const spoken = (text) => text.replace(/[*_`#|]+/g, "");
