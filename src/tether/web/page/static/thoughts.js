/**
 * What a model thinks, folded: drawn only while somebody looks at it.
 *
 * @module
 */

import { el, setText } from "./dom.js";
import { Prose } from "./prose.js";

export class Thoughts {
  constructor() {
    this.type = "thinking";
    this.#label = el("span");
    this.#details = /** @type {HTMLDetailsElement} */ (
      el("details", { class: "thoughts" }, el("summary", {}, this.#label), this.#prose.element)
    );
    this.#details.addEventListener("toggle", () => this.#draw());
    this.element = this.#details;
  }

  #label;
  #details;
  #prose = new Prose();
  /** @type {any} */
  #block = null;
  #whole = false;

  /** @param {any} block @param {boolean} whole @returns {boolean} */
  show(block, whole) {
    this.#block = block;
    this.#whole = whole;
    this.#details.toggleAttribute("data-open", !whole);
    setText(
      this.#label,
      block.redacted ? "Thought (withheld by the provider)" : whole ? "Thought" : "Thinking\u2026",
    );
    this.#details.hidden = whole && !block.text && !block.redacted;
    return this.#draw();
  }

  #draw() {
    return this.#details.open ? this.#prose.show(this.#block.text, this.#whole) : true;
  }
}
