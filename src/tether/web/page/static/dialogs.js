/**
 * Small windows that ask for one thing, and menus.
 *
 * @module
 */

import { button, el } from "./dom.js";

/**
 * Ask for a line of text.
 *
 * @param {{title: string, value: string, action: string}} about
 * @returns {Promise<string | null>} null if it was left
 */
export function askText({ title, value, action }) {
  const field = /** @type {HTMLInputElement} */ (el("input", { type: "text", class: "field", "aria-label": title }));
  field.value = value;
  return ask(title, [field], action, "primary", () => field.value.trim() || null);
}

/**
 * Ask whether something is to be done.
 *
 * @param {{title: string, text: string, action: string}} about
 * @returns {Promise<boolean>}
 */
export async function confirm({ title, text, action }) {
  return (await ask(title, [el("p", { text })], action, "danger", () => true)) === true;
}

/**
 * Show something that is only read.
 *
 * @param {string} title
 * @param {...Node} content
 */
export function tell(title, ...content) {
  void ask(title, content, null, "", () => null);
}

/**
 * Open a menu below an element.
 *
 * @param {HTMLElement} from
 * @param {{label: string, href?: string, press?: () => void}[]} entries those with an address are links to download
 */
export function openMenu(from, entries) {
  const items = entries.map(({ label, href, press }) =>
    href
      ? el("a", { role: "menuitem", href, download: "", text: label, on: { click: () => close() } })
      : el("button", { role: "menuitem", type: "button", text: label, on: { click: () => (close(), press?.()) } }),
  );
  const menu = el("div", { class: "menu", role: "menu", popover: "auto" }, ...items);
  document.body.append(menu);
  menu.showPopover();
  place(menu, from);
  items[0].focus();
  menu.addEventListener("keydown", (event) => move(event, items));
  menu.addEventListener(
    "toggle",
    (event) => /** @type {ToggleEvent} */ (event).newState === "closed" && menu.remove(),
  );

  function close() {
    menu.hidePopover();
    from.focus();
  }
}

/**
 * @template T
 * @param {string} title
 * @param {Node[]} content
 * @param {string | null} action the button that does it; null for a window that is only read
 * @param {string} style of that button
 * @param {() => T | null} result
 * @returns {Promise<T | null>}
 */
function ask(title, content, action, style, result) {
  return new Promise((resolve) => {
    /** @type {T | null} */
    let answer = null;
    const accept = () => {
      answer = result();
      if (answer !== null) dialog.close();
    };
    const leave = button({ label: action ? "Cancel" : "Close", press: () => dialog.close() });
    const act = action && button({ label: action, class: style, press: accept });
    const heading = el("h2", { id: "dialog-title", text: title });
    const dialog = /** @type {HTMLDialogElement} */ (
      el(
        "dialog",
        { "aria-labelledby": "dialog-title" },
        heading,
        ...content,
        el("div", { class: "row end" }, leave, act),
      )
    );
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target instanceof HTMLInputElement) accept();
      event.stopPropagation();
    });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("input")?.select();
  });
}

/** @param {HTMLElement} menu @param {HTMLElement} from */
function place(menu, from) {
  const at = from.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.right - width, window.innerWidth - width - 8));
  const isRoom = at.bottom + height + 8 < window.innerHeight;
  menu.style.left = `${left}px`;
  menu.style.top = `${isRoom ? at.bottom + 4 : Math.max(8, at.top - height - 4)}px`;
}

/** @param {KeyboardEvent} event @param {HTMLElement[]} items */
function move(event, items) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const here = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  items[(here + step + items.length) % items.length].focus();
}
