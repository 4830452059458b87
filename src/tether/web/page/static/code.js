/**
 * Blocks of code: a frame with their language and a button to copy, and colours once they are whole.
 *
 * @module
 */

import DOMPurify from "./vendor/purify.es.mjs";
import { button, el } from "./dom.js";

/** Characters of a block that is coloured: it takes time, all at once. */
const LARGEST = 60_000;

/**
 * @param {string} language as it stands behind the fence
 * @param {string} text
 * @returns {HTMLElement}
 */
export function codeFrame(language, text) {
  const name = language.split(/\s/, 1)[0].slice(0, 30);
  const code = el("code", { text: text || " " });
  return el(
    "figure",
    { class: "code", "data-language": name },
    el(
      "figcaption",
      {},
      el("span", { text: name || "text" }),
      copyButton(() => code.textContent ?? ""),
    ),
    el("pre", { tabindex: "0" }, code),
  );
}

/**
 * Let a block of code grow, without making it anew.
 *
 * @param {HTMLElement} frame as `codeFrame` made it
 * @param {string} language
 * @param {string} text
 * @returns {boolean} false if it has become another block
 */
export function growCode(frame, language, text) {
  const node = frame.querySelector("code")?.firstChild;
  if (!(node instanceof Text) || frame.dataset.language !== language.split(/\s/, 1)[0].slice(0, 30)) return false;
  if (text.startsWith(node.data)) node.appendData(text.slice(node.length));
  else node.data = text;
  return true;
}

/**
 * Finish the blocks of code in what a model wrote, those inside lists and quotes too.
 *
 * @param {Element} element
 */
export function dress(element) {
  for (const pre of [...element.querySelectorAll(":not(figure) > pre")]) {
    const language = pre.firstElementChild?.className.replace("language-", "") ?? "";
    pre.replaceWith(codeFrame(language, (pre.textContent ?? "").replace(/\n$/, "")));
  }
  const frames = element.matches("figure.code") ? [element] : element.querySelectorAll("figure.code");
  for (const frame of frames) seen.observe(frame);
}

/** Colours what comes near to where a person looks: a long conversation has a lot of code. */
const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      void colour(/** @type {HTMLElement} */ (target));
    }
  },
  { rootMargin: "400px" },
);

/**
 * Colour a block of code, where its language is known.
 *
 * @param {HTMLElement} frame
 */
async function colour(frame) {
  const code = frame.querySelector("code");
  const text = code?.textContent ?? "";
  const language = frame.dataset.language ?? "";
  if (!code || !language || text.length > LARGEST) return;
  const { default: highlighter } = await import("./vendor/highlight.min.js");
  if (!highlighter.getLanguage(language) || code.textContent !== text) return;
  const html = highlighter.highlight(text, { language, ignoreIllegals: true }).value;
  code.replaceChildren(DOMPurify.sanitize(html, COLOURS));
}

const COLOURS = {
  ALLOWED_TAGS: ["span"],
  ALLOWED_ATTR: ["class"],
  RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
};

/** @param {() => string} text what is copied */
export function copyButton(text) {
  const copy = button({ label: "Copy", icon: "copy", class: "quiet small", press: () => void press() });
  async function press() {
    await navigator.clipboard.writeText(text());
    copy.classList.add("done");
    setTimeout(() => copy.classList.remove("done"), 1200);
  }
  // Browsers have no clipboard for pages that come over plain HTTP from another machine.
  copy.hidden = !navigator.clipboard;
  return copy;
}
