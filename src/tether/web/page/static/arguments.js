/**
 * What a tool is given, for people: edits as differences, texts of several lines as they are, the rest by name.
 *
 * @module
 */

import { abridged, difference } from "./diff.js";
import { el } from "./dom.js";

/** How tools of edits call the text that goes and the one that comes. */
const EDITS = [
  ["old", "new"],
  ["old_string", "new_string"],
  ["old_str", "new_str"],
  ["old_text", "new_text"],
  ["oldText", "newText"],
];

/** Lines of a difference that are shown; a person reads no more of them in a card. */
const MOST_LINES = 2000;

/** Arguments that say in a word what a call is about. */
const SUBJECTS = ["command", "path", "file_path", "pattern", "query", "url", "request", "name"];

/**
 * @param {Record<string, any>} given
 * @returns {Node[]}
 */
export function argumentElements(given) {
  const edit = editIn(given);
  const names = Object.keys(given).filter((name) => !edit?.names.includes(name));
  const rows = names.flatMap((name) => [el("dt", { text: visible(name) }), el("dd", {}, valueElement(given[name]))]);
  const list = rows.length ? el("dl", { class: "arguments" }, ...rows) : null;
  return [list, edit && differenceElement(edit.before, edit.after)].filter((node) => node !== null);
}

/** Whether a call changes a text. @param {Record<string, any>} given */
export const isEdit = (given) => editIn(given) !== null;

/**
 * A line that says what a call is about.
 *
 * @param {Record<string, any>} given
 */
export function subject(given) {
  const name = SUBJECTS.find((one) => typeof given[one] === "string") ?? Object.keys(given)[0];
  if (name === undefined) return "";
  const value = typeof given[name] === "string" ? given[name] : JSON.stringify(given[name]);
  return visible(value.split("\n", 1)[0].slice(0, 200));
}

/**
 * A text in which nothing hides: characters that turn the direction, or show nothing, are named.
 *
 * @param {string} text
 */
export function visible(text) {
  return text.replace(HIDDEN, (character) => `\u27e8U+${hex(character)}\u27e9`);
}

// eslint-disable-next-line no-control-regex -- they are what is looked for
const HIDDEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

/** @param {string} character */
const hex = (character) => (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");

/** @param {Record<string, any>} given */
function editIn(given) {
  const names = EDITS.find(([old, now]) => typeof given[old] === "string" && typeof given[now] === "string");
  if (names) return { names, before: given[names[0]], after: given[names[1]] };
  const isFile = typeof given.content === "string" && (given.path ?? given.file_path) !== undefined;
  return isFile ? { names: ["content"], before: "", after: given.content } : null;
}

/** @param {any} value */
function valueElement(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return text.includes("\n") || text.length > 120
    ? el("pre", { tabindex: "0", text: visible(text) })
    : el("code", { text: visible(text) });
}

/** @param {string} before @param {string} after */
function differenceElement(before, after) {
  const lines = abridged(difference(before, after));
  const shown = lines.slice(0, MOST_LINES).map(lineElement);
  const rest = lines.length - shown.length;
  if (rest > 0) shown.push(el("div", { class: "gap", text: `${rest.toLocaleString()} more lines` }));
  return el("div", { class: "diff", role: "group", "aria-label": "Difference", tabindex: "0" }, ...shown);
}

const SIGNS = { same: " ", old: "\u2212", new: "+" };
const SPOKEN = { same: "", old: "removed: ", new: "added: " };

/** @param {import("./diff.js").Line | null} line */
function lineElement(line) {
  if (line === null) return el("div", { class: "gap", text: "\u22ef" });
  return el(
    "div",
    { class: `line ${line.kind}` },
    el("span", { class: "sign", "aria-hidden": "true", text: SIGNS[line.kind] }),
    SPOKEN[line.kind] && el("span", { class: "spoken", text: SPOKEN[line.kind] }),
    el("span", { text: visible(line.text) || " " }),
  );
}
