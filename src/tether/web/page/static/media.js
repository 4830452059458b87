/**
 * Pictures and documents of a conversation. What lies elsewhere is a link: it is not fetched by itself.
 *
 * @module
 */

import { el, icon } from "./dom.js";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/**
 * @param {any} block as `tether.to_json` writes it
 * @returns {HTMLElement}
 */
export function mediaElement(block) {
  const name = block.name || block.media_type || block.type;
  if (block.data && PICTURES.includes(block.media_type)) return picture(block, name);
  if (/^https?:\/\//.test(block.url ?? "")) {
    return el(
      "a",
      { class: "file", href: block.url, target: "_blank", rel: "noopener noreferrer" },
      icon("file"),
      name,
    );
  }
  const size = block.data ? sizeText((block.data.length * 3) / 4) : "";
  return el("span", { class: "file" }, icon("file"), name, size && el("small", { text: size }));
}

/**
 * The bytes of a block, to send them again.
 *
 * @param {any} block
 * @returns {File | null} null where it has none
 */
export function fileOf(block) {
  if (!block.data) return null;
  const bytes = Uint8Array.from(atob(block.data), (character) => character.charCodeAt(0));
  return new File([bytes], block.name ?? block.type, { type: block.media_type });
}

/** @param {number} bytes */
export function sizeText(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {any} block @param {string} name */
function picture(block, name) {
  return el("img", { class: "picture", src: `data:${block.media_type};base64,${block.data}`, alt: name });
}
