/**
 * Markdown that a model wrote, as elements that run nothing and load nothing.
 *
 * HTML in it is text, pictures from elsewhere are links, and links lead to the web or to a mail program only. What is
 * left then passes through DOMPurify, whose allow-list is the second wall, as the page's content policy is the third.
 *
 * @module
 */

import { Lexer, Marked } from "./vendor/marked.esm.js";
import DOMPurify from "./vendor/purify.es.mjs";

/** @typedef {{type: string, raw: string, [name: string]: any}} Token a piece of Markdown, as marked has it */

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: (/** @type {Token} */ { text }) => escaped(text),
    image: (/** @type {Token} */ { href, text }) =>
      isPicture(href) ? pictureOf(href, text) : linkTo(href, escaped(text || href)),
    /** @this {{parser: {parseInline: (tokens: Token[]) => string}}} @param {Token} link */
    link({ href, tokens }) {
      return linkTo(href, this.parser.parseInline(tokens));
    },
    checkbox: (/** @type {Token} */ { checked }) => (checked ? "\u2611 " : "\u2610 "),
  },
});

/**
 * Cut a text into its blocks: paragraphs, lists, code and so on.
 *
 * @param {string} text with plain line ends
 * @returns {Token[]} one that is `plain` where the text is nested too deeply
 */
export function blocksOf(text) {
  try {
    const lexer = new Lexer(marked.defaults);
    const blocks = lexer.blockTokens(text, lexer.tokens);
    for (const { src, tokens } of lexer.inlineQueue) inline(lexer, src, tokens);
    return blocks;
  } catch (error) {
    return plainBlocks(error, text);
  }
}

/**
 * Where the blocks of a text end, without a look into them.
 *
 * @param {string} text with plain line ends
 * @returns {Set<number>}
 */
export function endsOf(text) {
  let end = 0;
  try {
    const blocks = new Lexer(marked.defaults).blockTokens(text, []);
    return new Set(blocks.map((/** @type {Token} */ { raw }) => (end += raw.length)));
  } catch (error) {
    plainBlocks(error, text);
    return new Set([text.length]);
  }
}

/**
 * Make the elements of blocks.
 *
 * @param {Token[]} blocks
 * @returns {Node[]}
 */
export function elementsOf(blocks) {
  if (blocks[0]?.type === "plain") return [plainElement(blocks[0])];
  const html = marked.parser(blocks);
  const made = DOMPurify.sanitize(html, ALLOWED);
  for (const table of made.querySelectorAll("table")) table.replaceWith(scrolling(table));
  return [...made.childNodes];
}

/** What takes marked seconds and more, as its time grows with the square of these: it stays as it was written. */
const LONGEST_WORD = 4000;
const LONGEST_PARAGRAPH = 50_000;
const MOST_MARKS = 3000;

/** @param {any} lexer @param {string} text @param {Token[]} tokens */
function inline(lexer, text, tokens) {
  if (isCostly(text)) tokens.push({ type: "text", raw: text, text });
  else lexer.inlineTokens(text, tokens);
}

/** @param {string} text */
function isCostly(text) {
  if (text.length > LONGEST_PARAGRAPH) return true;
  if (text.length < MOST_MARKS) return false;
  const marks = text.match(/[_*[\]<!~`]/g)?.length ?? 0;
  return marks > MOST_MARKS || text.split(/\s/).some((word) => word.length > LONGEST_WORD);
}

/** @param {unknown} error @param {string} text @returns {Token[]} */
function plainBlocks(error, text) {
  // What a model wrote can be nested deeper than the stack is.
  if (!(error instanceof RangeError)) throw error;
  return [{ type: "plain", raw: text, text }];
}

/** @param {Token} block */
function plainElement({ text }) {
  const element = document.createElement("p");
  element.className = "plain";
  element.textContent = text;
  return element;
}

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i img li ol p pre s strong".split(" "),
    ..."table tbody td th thead tr ul".split(" "),
  ],
  ALLOWED_ATTR: ["align", "alt", "class", "href", "rel", "src", "start", "target", "title"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ADD_URI_SAFE_ATTR: ["target"],
  RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
};

const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=]+$/i;
const WEB = /^(?:https?:\/\/|mailto:)/i;

/** @param {string} address */
const isPicture = (address) => PICTURE.test(address);

/** @param {string} address @param {string} text */
const pictureOf = (address, text) => `<img src="${escaped(address)}" alt="${escaped(text)}">`;

/** @param {string} address @param {string} html */
function linkTo(address, html) {
  if (!WEB.test(address)) return html;
  const href = escaped(address);
  return `<a href="${href}" title="${href}" target="_blank" rel="noopener noreferrer nofollow">${html}</a>`;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A table that is wider than the page scrolls by itself. @param {Element} table */
function scrolling(table) {
  const frame = document.createElement("div");
  frame.className = "table";
  frame.tabIndex = 0;
  frame.append(table.cloneNode(true));
  return frame;
}
