/**
 * Markdown that arrives bit by bit: only what may still change is drawn anew.
 *
 * Text is only ever added at its end, and a block that has another one behind it stays as it is. So the blocks before
 * the last are drawn once. The last one is drawn anew at most once for each frame, and more seldom where that takes
 * long.
 *
 * @module
 */

import { codeFrame, dress, growCode } from "./code.js";
import { el } from "./dom.js";
import { blocksOf, elementsOf, endsOf } from "./markdown.js";

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
  /** @type {number[]} where the blocks end that are drawn for good */
  #ends = [];
  /** @type {HTMLElement | null} takes what is drawn for good, until it is full */
  #chunk = null;
  /** Whether what follows goes on with a list. */
  #isSplit = false;
  #given = "";
  /** What is given, with plain line ends. */
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
    if (text === this.#given && whole === this.#whole) return true;
    if (!whole && performance.now() < this.#notBefore) return false;
    const begun = performance.now();
    const plain = text.replace(/\r\n?/g, "\n");
    if (!plain.startsWith(this.#text) || (whole && !this.#holds(plain))) this.#reset();
    this.#given = text;
    this.#text = plain;
    this.#whole = whole;
    this.#draw();
    const end = performance.now();
    this.#notBefore = end + SHARE * (end - begun) - FRAME;
    return true;
  }

  /** Whether what is drawn for good would also be drawn for the whole text. @param {string} text */
  #holds(text) {
    if (!this.#settled) return true;
    const ends = endsOf(text);
    return this.#ends.every((end) => ends.has(end)) && !DEFINITION.test(text);
  }

  #reset() {
    this.element.replaceChildren();
    this.#settled = 0;
    this.#ends = [];
    this.#chunk = null;
    this.#isSplit = false;
    this.#text = "";
    this.#tail = [];
    this.#code = null;
  }

  #draw() {
    const blocks = blocksOf(this.#text.slice(this.#settled)).flatMap(pieces);
    const last = this.#whole ? blocks.length : firstOpen(blocks);
    if (last === 0 && blocks.length === 1 && this.#growsCode(blocks[0])) return;
    for (const node of this.#tail) /** @type {ChildNode} */ (node).remove();
    for (const group of groups(blocks.slice(0, last))) this.#settle(group);
    this.#drawTail(blocks.slice(last).filter(({ type }) => type !== "space"));
  }

  /** @param {Token[]} group */
  #settle(group) {
    for (const block of group) {
      this.#settled += block.raw.length;
      if (!block.isSplit) this.#ends.push(this.#settled);
    }
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
    this.#tail = groups(blocks).flatMap((group) => this.#drawn(group));
    this.element.append(...this.#tail);
    const isCode = blocks.length === 1 && blocks[0].type === "code";
    this.#code = isCode ? /** @type {HTMLElement} */ (this.#tail[0]) : null;
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

/**
 * The place of the first block that may still change: the last one, and while that is still in its first line, by which
 * it is told apart from more of the one before, also that one.
 *
 * @param {Token[]} blocks
 */
function firstOpen(blocks) {
  const last = before(blocks, blocks.length);
  return blocks[last]?.raw.includes("\n") ? last : before(blocks, last);
}

/** The place of the block before another one, empty lines aside. @param {Token[]} blocks @param {number} place */
function before(blocks, place) {
  let found = place - 1;
  while (found > 0 && blocks[found].type === "space") found -= 1;
  return Math.max(found, 0);
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
