/**
 * The place in a conversation that grows: it stays at the end for those who are there, and still for all others.
 *
 * @module
 */

import { button, el } from "./dom.js";

/** Pixels from the end that count as the end. */
const NEAR = 48;

export class Scroll {
  /** @param {HTMLElement} frame what scrolls */
  constructor(frame) {
    this.#frame = frame;
    this.#jump = button({ label: "To the end", icon: "down", class: "round jump", press: () => this.toEnd() });
    this.#jump.hidden = true;
    this.element = el("div", { class: "jump-row" }, this.#jump);
    frame.addEventListener("scroll", () => this.#look(), { passive: true });
    // What grows or shrinks for other reasons: a window that is resized, a card that is opened.
    new ResizeObserver(() => this.follow()).observe(frame);
  }

  #frame;
  #jump;
  #isAtEnd = true;
  #height = 0;

  /** After something was drawn: stay at the end, for those who were there. */
  follow() {
    if (this.#isAtEnd) this.#frame.scrollTop = this.#frame.scrollHeight;
    this.#height = this.#frame.scrollHeight;
    this.#jump.hidden = this.#isAtEnd;
  }

  toEnd() {
    this.#isAtEnd = true;
    this.follow();
  }

  #look() {
    const { scrollTop, clientHeight, scrollHeight } = this.#frame;
    // What came below moves nobody away from the end; scrolling does.
    if (scrollHeight === this.#height || scrollTop + clientHeight >= scrollHeight - NEAR) {
      this.#isAtEnd = scrollTop + clientHeight >= scrollHeight - NEAR;
    }
    this.#jump.hidden = this.#isAtEnd;
  }
}
