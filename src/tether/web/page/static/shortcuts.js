/**
 * Keys that work everywhere on the page.
 *
 * @module
 */

import { tell } from "./dialogs.js";
import { el } from "./dom.js";

const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const CONTROL = IS_MAC ? "\u2318" : "Ctrl";

/** @type {[string, string][]} */
const SHOWN = [
  ["Enter", "send"],
  ["Shift Enter", "new line"],
  ["Escape", "stop the run"],
  ["Alt A", "go to what needs your approval"],
  [`${CONTROL} K`, "search conversations"],
  ["Alt N", "new conversation"],
  ["Alt M", "go to the message field"],
  [`${CONTROL} /`, "show these keys"],
];

/**
 * @param {{search: () => void, begin: () => void, message: () => void, question: () => void}} wishes
 */
export function listenForShortcuts(wishes) {
  document.addEventListener("keydown", (event) => {
    const wish = wishOf(event, wishes);
    if (!wish) return;
    event.preventDefault();
    wish();
  });
}

export function showShortcuts() {
  const rows = SHOWN.flatMap(([keys, what]) => [
    el("dt", {}, ...keys.split(" ").map((key) => el("kbd", { text: key }))),
    el("dd", { text: what }),
  ]);
  tell("Keyboard shortcuts", el("dl", { class: "keys" }, ...rows));
}

/** @param {KeyboardEvent} event @param {Record<string, () => void>} wishes */
function wishOf(event, wishes) {
  const isControl = event.ctrlKey || event.metaKey;
  // By the key's place too: on some keyboards Alt makes other letters.
  if (event.altKey && !isControl)
    return { KeyA: wishes.question, KeyN: wishes.begin, KeyM: wishes.message }[event.code];
  if (isControl && !event.altKey) return { k: wishes.search, "/": showShortcuts }[event.key];
  return undefined;
}
