/**
 * Files that go with the next message: chosen, pasted or dropped, and sent to the server at once.
 *
 * @module
 */

import * as api from "./api.js";
import { button, el, icon } from "./dom.js";
import { sizeText } from "./media.js";

/** @typedef {{file: File, id: string | null, element: HTMLElement}} Attached */

export class Attachments {
  /**
   * @param {() => Promise<string>} conversation the id of the conversation, which is made if there is none yet
   * @param {() => void} changed
   * @param {(message: string) => void} complain
   */
  constructor(conversation, changed, complain) {
    this.#conversation = conversation;
    this.#changed = changed;
    this.#complain = complain;
    this.element = el("ul", { class: "attachments", "aria-label": "Attachments", hidden: true });
  }

  /** Media types that the model takes. @type {string[]} */
  accepts = [];
  /** Bytes of a file at most. */
  largest = Infinity;
  #conversation;
  #changed;
  #complain;
  /** @type {Attached[]} */
  #all = [];

  /** The ids of what has arrived at the server. */
  get ids() {
    return this.#all.flatMap(({ id }) => id ?? []);
  }

  /** Whether something is still on its way. */
  get areArriving() {
    return this.#all.some(({ id }) => id === null);
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) {
      const why = this.#refusal(file);
      if (why) this.#complain(why);
      else void this.#send(file);
    }
  }

  clear() {
    this.#all = [];
    this.#draw();
  }

  /** @param {File} file @returns {string} why it cannot be attached; empty if it can */
  #refusal(file) {
    if (file.size > this.largest)
      return `${file.name} has ${sizeText(file.size)}; at most ${sizeText(this.largest)} can be sent.`;
    if (!file.size) return `${file.name} is empty.`;
    const isTaken =
      !this.accepts.length ||
      !file.type ||
      file.type.startsWith("text/") ||
      this.accepts.some((type) => fits(file.type, type));
    return isTaken ? "" : `The model does not take ${file.name} (${file.type}).`;
  }

  /** @param {File} file */
  async #send(file) {
    /** @type {Attached} */
    const attached = { file, id: null, element: el("li") };
    attached.element = this.#chip(attached);
    this.#all.push(attached);
    this.#draw();
    try {
      attached.id = (await api.upload(await this.#conversation(), file, file.name)).id;
      attached.element.classList.remove("arriving");
      this.#changed();
    } catch (error) {
      this.#remove(attached);
      this.#complain(`${file.name}: ${/** @type {Error} */ (error).message}`);
    }
  }

  /** @param {Attached} attached */
  #chip(attached) {
    const { file } = attached;
    const shown = file.type.startsWith("image/") ? thumbnail(file) : icon("file");
    const remove = button({
      label: `Remove ${file.name}`,
      icon: "close",
      class: "quiet small",
      press: () => this.#remove(attached),
    });
    const name = el("span", { class: "name", text: file.name });
    return el("li", { class: "chip arriving" }, shown, name, el("small", { text: sizeText(file.size) }), remove);
  }

  /** @param {Attached} attached */
  #remove(attached) {
    this.#all = this.#all.filter((one) => one !== attached);
    this.#draw();
  }

  #draw() {
    this.element.replaceChildren(...this.#all.map(({ element }) => element));
    this.element.hidden = !this.#all.length;
    this.#changed();
  }
}

/** @param {string} type @param {string} pattern such as `image/png` or `image/*` */
const fits = (type, pattern) => (pattern.endsWith("/*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern);

/** @param {File} file */
function thumbnail(file) {
  const address = URL.createObjectURL(file);
  return el("img", { src: address, alt: "", on: { load: () => URL.revokeObjectURL(address) } });
}
