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
  /** @type {HTMLElement | null} takes what is drawn for good, until it is full */
  #chunk = null;
  /** Whether what follows goes on with a list. */
  #isSplit = false;
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
    this.#chunk = null;
    this.#isSplit = false;
    this.#text = "";
    this.#tail = [];
    this.#code = null;
  }

  #draw() {
    const blocks = blocksOf(this.#text.slice(this.#settled)).flatMap(pieces);
    const last = this.#whole ? blocks.length : lastBlock(blocks);
    if (last === 0 && this.#growsCode(blocks[0])) return;
    for (const node of this.#tail) /** @type {ChildNode} */ (node).remove();
    for (const group of groups(blocks.slice(0, last))) this.#settle(group);
    this.#drawTail(blocks.slice(last).filter(({ type }) => type !== "space"));
  }

  /** @param {Token[]} group */
  #settle(group) {
    for (const block of group) this.#settled += block.raw.length;
    const nodes = this.#drawn(group);
    this.#chunk ??= /** @type {HTMLElement} */ (this.element.appendChild(el("div", { class: "chunk" })));
    if (this.#isSplit && !this.#chunk.firstChild) this.#chunk.classList.add("continued");
    this.#chunk.append(...nodes);
    if (this.#chunk.childElementCount >= CHUNK) this.#chunk = null;
    this.#isSplit = Boolean(group.at(-1)?.isSplit);
    for (const node of nodes) if (node instanceof Element) dress(node);
  }

  /** @param {Token[]} blocks */
  #drawTail(blocks) {
    this.#tail = blocks.length ? this.#drawn(blocks) : [];
    this.element.append(...this.#tail);
    const [block] = blocks;
    this.#code = block?.type === "code" ? /** @type {HTMLElement} */ (this.#tail[0]) : null;
  }

  /** @param {Token[]} group @returns {Node[]} */
  #drawn(group) {
    const [block] = group;
    if (block.type === "code") return [codeFrame(block.lang ?? "", block.text)];
    const nodes = elementsOf(group);
    if (this.#isSplit && nodes[0] instanceof Element) nodes[0].classList.add("continued");
    return nodes;
  }

  /** @param {Token | undefined} block */
  #growsCode(block) {
    return this.#code !== null && block?.type === "code" && growCode(this.#code, block.lang ?? "", block.text);
  }
}

const FRAME = 16;

/** Blocks that the browser lays out together, and passes over while they are out of sight. */
const CHUNK = 12;

/** The place of the last block that is more than empty lines. @param {Token[]} blocks */
function lastBlock(blocks) {
  let last = blocks.length - 1;
  while (last > 0 && blocks[last].type === "space") last -= 1;
  return Math.max(last, 0);
}

/**
 * Blocks that are made elements together, which costs less than one by one. Code and pieces of lists stand alone.
 *
 * @param {Token[]} blocks
 * @returns {Token[][]}
 */
function groups(blocks) {
  /** @type {Token[][]} */
  const all = [];
  let isAlone = true;
  for (const block of blocks) {
    const last = all.at(-1);
    const standsAlone = block.type === "code" || block.isSplit;
    if (last && !isAlone && !standsAlone && last.length < CHUNK) last.push(block);
    else all.push([block]);
    isAlone = standsAlone;
  }
  return all;
}

/** Items of a list that are drawn anew at most. */
const MOST_ITEMS = 24;

/**
 * A long list as two, so that its first items are drawn once; the style sheet joins them again.
 *
 * @param {Token} block
 * @returns {Token[]}
 */
function pieces(block) {
  if (block.type !== "list" || block.items.length <= MOST_ITEMS) return [block];
  const first = block.items.slice(0, -1);
  const raw = first.map((/** @type {Token} */ item) => item.raw).join("");
  const start = block.ordered ? Number(block.start) + first.length : block.start;
  return [
    { ...block, items: first, raw, isSplit: true },
    { ...block, items: block.items.slice(-1), raw: block.raw.slice(raw.length), start },
  ];
}
