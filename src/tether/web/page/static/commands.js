/**
 * The commands that a message may begin with: a list above the message field while `/name` is typed.
 *
 * The focus stays in the field; the list is its `aria-controls`, and the option at hand its `aria-activedescendant`.
 *
 * @module
 */

import { el, setText } from "./dom.js";

/** @typedef {{name: string, description: string, hint: string}} Command */

const NAME_ALONE = /^\/\S*$/;

export class CommandList {
  /**
   * @param {HTMLTextAreaElement} field
   * @param {(text: string) => void} write replaces what is in the field
   */
  constructor(field, write) {
    this.#field = field;
    this.#write = write;
    this.#list = el("ul", { class: "commands", id: "commands", role: "listbox", "aria-label": "Commands", hidden: true });
    this.#spoken = el("span", { class: "spoken", role: "status" });
    this.element = el("div", {}, this.#list, this.#spoken);
    field.addEventListener("blur", () => this.#close());
  }

  element;
  #field;
  #write;
  #list;
  #spoken;
  /** @type {Command[]} */
  #all = [];
  /** @type {Command[]} those that fit what is typed */
  #fitting = [];
  #at = 0;

  /** @param {Command[]} commands */
  offer(commands) {
    this.#all = commands;
    if (!commands.length) return;
    this.#field.setAttribute("aria-autocomplete", "list");
    this.#field.setAttribute("aria-controls", this.#list.id);
  }

  /** Show what fits what was just typed. */
  update() {
    const text = this.#field.value;
    const begun = NAME_ALONE.test(text) ? this.#all.filter(({ name }) => name.startsWith(text.slice(1))) : [];
    if (!begun.length) return this.#close();
    this.#fitting = begun;
    this.#at = 0;
    this.#list.replaceChildren(...begun.map((command, index) => this.#option(command, index)));
    this.#list.hidden = false;
    setText(this.#spoken, `${begun.length} command${begun.length === 1 ? "" : "s"}. Up and Down choose, Tab takes one.`);
    this.#mark();
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was for the list */
  takes(event) {
    if (this.#list.hidden) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const isTaken = event.key === "Tab" ? !event.shiftKey : event.key === "Enter" && !event.shiftKey && !this.#isTyped;
    if (step) this.#move(step);
    else if (event.key === "Escape") this.#close();
    else if (isTaken) this.#take(this.#fitting[this.#at]);
    else return false;
    event.preventDefault();
    return true;
  }

  /** Whether the name of the option at hand is already in the field. */
  get #isTyped() {
    return this.#field.value === `/${this.#fitting[this.#at].name}`;
  }

  /** @param {number} step */
  #move(step) {
    this.#at = (this.#at + step + this.#fitting.length) % this.#fitting.length;
    this.#mark();
  }

  /** @param {Command} command */
  #take({ name, hint }) {
    this.#write(`/${name}${hint ? " " : ""}`);
    this.#close();
  }

  #mark() {
    const options = [...this.#list.children];
    options.forEach((option, index) => option.setAttribute("aria-selected", String(index === this.#at)));
    this.#field.setAttribute("aria-activedescendant", options[this.#at].id);
    options[this.#at].scrollIntoView({ block: "nearest" });
  }

  #close() {
    this.#list.hidden = true;
    this.#field.removeAttribute("aria-activedescendant");
    setText(this.#spoken, "");
  }

  /** @param {Command} command @param {number} index */
  #option(command, index) {
    const { name, description, hint } = command;
    const option = el(
      "li",
      { role: "option", id: `command-${index}` },
      el("code", { text: `/${name}` }),
      hint && el("small", { class: "hint", text: hint }),
      el("small", { text: description }),
    );
    // Before the field would lose the focus, and the list close.
    option.addEventListener("pointerdown", (event) => event.preventDefault());
    option.addEventListener("mousedown", (event) => event.preventDefault());
    option.addEventListener("click", () => this.#take(command));
    return option;
  }
}
