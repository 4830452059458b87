/**
 * Where a person writes: a message begins a run, or steers the one that goes.
 *
 * @module
 */

import { Attachments } from "./attachments.js";
import { CommandList } from "./commands.js";
import { button, el } from "./dom.js";

/**
 * @typedef {object} Wishes
 * @property {(text: string, uploads: string[], when: string) => Promise<boolean>} say whether the agent has it, with the files;
 *   rejects where it did not arrive
 * @property {() => Promise<void>} stop
 * @property {() => Promise<string>} conversation its id, made if there is none yet
 * @property {(message: string) => void} complain
 */

/** When a message enters a run that goes. */
const WHEN = [
  { value: "steer", label: "Steer", hint: "Enters before the next step of the run" },
  { value: "interrupt", label: "Interrupt", hint: "Cuts the current step short" },
  { value: "follow_up", label: "Follow up", hint: "Waits until the run is done" },
];

export class Composer {
  /** @param {Wishes} wishes */
  constructor(wishes) {
    this.#wishes = wishes;
    this.attachments = new Attachments(wishes.conversation, () => this.#update(), wishes.complain);
    this.#field = /** @type {HTMLTextAreaElement} */ (
      el("textarea", { id: "message", rows: "1", "aria-label": "Message", enterkeyhint: "send", placeholder: ASK })
    );
    this.#files = /** @type {HTMLInputElement} */ (el("input", { type: "file", multiple: true, hidden: true }));
    this.#attach = button({
      label: "Attach files",
      icon: "attach",
      class: "quiet",
      press: () => this.#files.click(),
    });
    this.#send = button({ label: "Send", icon: "send", class: "primary round", press: () => void this.#say() });
    this.#stop = button({ label: "Stop", icon: "stop", class: "round stop", press: () => void this.#halt() });
    this.#when = this.#choice();
    this.#commands = new CommandList(this.#field, (text) => this.#write(text));
    const row = el(
      "div",
      { class: "row" },
      this.#attach,
      this.#when,
      el("span", { class: "space" }),
      this.#stop,
      this.#send,
    );
    const parts = [this.#commands.element, this.attachments.element, this.#field, row, this.#files];
    this.element = el("div", { class: "composer" }, ...parts);
    this.#listen();
    this.#update();
  }

  attachments;
  #wishes;
  #commands;
  #field;
  #files;
  #attach;
  #send;
  #stop;
  #when;
  #isRunning = false;
  #isSending = false;
  /** The conversation that is written for. */
  #id = "";

  /** Write for a conversation; what was written for it and not said is there. @param {string} id empty for a new one */
  open(id) {
    this.#id = id;
    this.attachments.clear();
    this.#write(sessionStorage.getItem(this.#place) ?? "");
  }

  /** What is written belongs to a conversation that was just made. @param {string} id */
  adopt(id) {
    sessionStorage.removeItem(this.#place);
    this.#id = id;
    this.#keep();
  }

  get #place() {
    return `tether-draft-${this.#id}`;
  }

  /** @param {string} text */
  #write(text) {
    this.#field.value = text;
    this.#keep();
    this.#grow();
    this.#update();
  }

  /** What is written survives a reload. */
  #keep() {
    if (this.#field.value) sessionStorage.setItem(this.#place, this.#field.value);
    else sessionStorage.removeItem(this.#place);
  }

  /** @param {boolean} isRunning whether a message would steer a run */
  show(isRunning) {
    if (isRunning === this.#isRunning) return;
    this.#isRunning = isRunning;
    this.#field.placeholder = isRunning ? STEER : ASK;
    this.#update();
  }

  /** @param {string[]} types media types that the model takes @param {number} largest bytes of a file */
  allow(types, largest) {
    this.attachments.accepts = types;
    this.attachments.largest = largest;
    this.#files.accept = [...types, "text/*"].join(",");
  }

  /** @param {import("./commands.js").Command[]} commands what a message may begin with */
  offer(commands) {
    this.#commands.offer(commands);
  }

  focus() {
    this.#field.focus();
  }

  #listen() {
    this.#field.addEventListener("input", () => {
      this.#keep();
      this.#grow();
      this.#update();
      this.#commands.update();
    });
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("paste", (event) => this.#paste(event));
    this.#files.addEventListener("change", () => {
      this.attachments.add(this.#files.files ?? []);
      this.#files.value = "";
      this.focus();
    });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || this.#commands.takes(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      void this.#say();
    } else if (event.key === "Escape" && this.#isRunning) {
      event.preventDefault();
      void this.#halt();
    }
  }

  /** @param {ClipboardEvent} event */
  #paste(event) {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    this.attachments.add(files);
  }

  async #say() {
    const text = this.#field.value;
    const { ids, areArriving } = this.attachments;
    if (this.#isSending || areArriving || (!text.trim() && !ids.length)) return;
    this.#isSending = true;
    this.#update();
    try {
      const isSaid = await this.#wishes.say(text, ids, this.#isRunning ? this.#chosen() : "steer");
      if (this.#field.value === text) this.#write("");
      if (isSaid) this.attachments.clear(); // else they go with what is said next
    } catch (error) {
      this.#wishes.complain(`Not sent: ${/** @type {Error} */ (error).message}`);
    } finally {
      this.#isSending = false;
      this.#update();
      this.focus();
    }
  }

  async #halt() {
    this.#stop.disabled = true;
    try {
      await this.#wishes.stop();
    } catch (error) {
      this.#wishes.complain(`Not stopped: ${/** @type {Error} */ (error).message}`);
    } finally {
      this.#stop.disabled = false;
      this.focus();
    }
  }

  #choice() {
    const options = WHEN.map(({ value, label, hint }, index) =>
      el(
        "label",
        { title: hint },
        el("input", { type: "radio", name: "when", value, checked: index === 0 }),
        el("span", { text: label }),
      ),
    );
    return el(
      "div",
      { class: "switch", role: "radiogroup", "aria-label": "When the message enters the run" },
      ...options,
    );
  }

  #chosen() {
    return /** @type {HTMLInputElement} */ (this.#when.querySelector(":checked")).value;
  }

  #update() {
    const { ids, areArriving } = this.attachments;
    const isEmpty = !this.#field.value.trim() && !ids.length;
    this.#send.disabled = this.#isSending || areArriving || isEmpty;
    this.#stop.hidden = !this.#isRunning;
    this.#send.hidden = this.#isRunning && isEmpty;
    this.#when.hidden = !this.#isRunning;
  }

  /** As high as its text, where the browser does not do it by itself. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }
}

const ASK = "Ask something, or attach a file";
const STEER = "Say what the run should take into account";
