/**
 * Markdown that arrives bit by bit: only what may still change is drawn anew.
 *
 * Text is only ever added at its end, and a block that has another one behind it stays as it is. So the blocks before
 * the last are drawn once. The last one is drawn anew at most once for each frame, and more seldom where that
 * takes long.
 *
 * @module
 */

import { codeFrame, dress, growCode } from "./code.js";
import { el } from "./dom.js";
import { blocksOf, elementsOf } from "./markdown.js";

/** @typedef {import("./markdown.js").Token} Token */

/** Of the time, at most a quarter goes into drawing the block that grows. */
const SHARE = 4;

/** A definition of a link: it changes blocks that stand before it. */
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

export class Prose {
  constructor() {
    this.element = el("div", { class: "prose" });
    this.#reset();
  }

  /** Characters of `#text` that are drawn for good. */
  #settled = 0;
  #text = "";
  #whole = false;
  /** @type {Node[]} */
  #tail = [];
  /** @type {HTMLElement | null} the code block that grows, if the tail is one */
  #code = null;
  #notBefore = 0;

  /**
   * Show a text.
   *
   * @param {string} text
   * @param {boolean} whole whether nothing follows
   * @returns {boolean} false if it is to be called again for the next frame
   */
  show(text, whole) {
    if (text === this.#text && whole === this.#whole) return true;
    if (!whole && performance.now() < this.#notBefore) return false;
    if (!text.startsWith(this.#text) || (whole && DEFINITION.test(text))) this.#reset();
    const begun = performance.now();
    this.#text = text;
    this.#whole = whole;
    this.#draw();
    const end = performance.now();
    this.#notBefore = end + SHARE * (end - begun) - FRAME;
    return true;
  }

  #reset() {
    this.element.replaceChildren();
    this.#settled = 0;
    this.#text = "";
    this.#tail = [];
    this.#code = null;
  }

  #draw() {
    const blocks = blocksOf(this.#text.slice(this.#settled));
    const last = this.#whole ? blocks.length : lastBlock(blocks);
    if (last === 0 && this.#growsCode(blocks[0])) return;
    for (const node of this.#tail) /** @type {ChildNode} */ (node).remove();
    for (const block of blocks.slice(0, last)) this.#settle(block);
    this.#drawTail(blocks.slice(last));
  }

  /** @param {Token} block */
  #settle(block) {
    this.#settled += block.raw.length;
    const nodes = drawn(block);
    this.element.append(...nodes);
    for (const node of nodes) if (node instanceof Element) dress(node);
  }

  /** @param {Token[]} blocks */
  #drawTail(blocks) {
    this.#tail = blocks.flatMap(drawn);
    this.element.append(...this.#tail);
    const [block] = blocks;
    this.#code = block?.type === "code" ? /** @type {HTMLElement} */ (this.#tail[0]) : null;
  }

  /** @param {Token | undefined} block */
  #growsCode(block) {
    return this.#code !== null && block?.type === "code" && growCode(this.#code, block.lang ?? "", block.text);
  }
}

const FRAME = 16;

/** The place of the last block that is more than empty lines. @param {Token[]} blocks */
function lastBlock(blocks) {
  let last = blocks.length - 1;
  while (last > 0 && blocks[last].type === "space") last -= 1;
  return Math.max(last, 0);
}

/** @param {Token} block @returns {Node[]} */
function drawn(block) {
  return block.type === "code" ? [codeFrame(block.lang ?? "", block.text)] : elementsOf(block);
}
