/**
 * The question whether a call may run: once, from now on, or not at all, with a reason for the model.
 *
 * @module
 */

import { button, el } from "./dom.js";

/**
 * @param {string} name of the tool
 * @param {(verdict: "once" | "always" | "denied", reason: string) => Promise<void>} answer rejects where it did not arrive
 * @returns {HTMLElement}
 */
export function question(name, answer) {
  const buttons = el("div", { class: "row" });
  const reason = /** @type {HTMLInputElement} */ (
    el("input", {
      type: "text",
      class: "field",
      placeholder: "Reason for the model (optional)",
      "aria-label": "Reason",
    })
  );
  const send = button({ label: "Deny", class: "danger", press: () => give("denied") });
  const back = button({ label: "Back", press: () => deny(false) });
  const denial = el("div", { class: "row", hidden: true }, reason, send, back);
  buttons.append(
    button({ label: "Allow once", class: "primary", press: () => give("once") }),
    button({ label: `Always allow ${name}`, press: () => give("always") }),
    button({ label: "Deny\u2026", press: () => deny(true) }),
  );
  reason.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) give("denied");
    if (event.key === "Escape") deny(false);
    event.stopPropagation();
  });
  const box = el(
    "div",
    { class: "question", role: "group", "aria-label": `Approval of ${name}` },
    el("p", {}, "May ", el("code", { text: name }), " run with these arguments?"),
    buttons,
    denial,
  );

  /** @param {boolean} open */
  function deny(open) {
    buttons.hidden = open;
    denial.hidden = !open;
    if (open) reason.focus();
    else /** @type {HTMLElement} */ (buttons.lastElementChild).focus();
  }

  /** @param {"once" | "always" | "denied"} verdict */
  async function give(verdict) {
    const all = box.querySelectorAll("button");
    for (const one of all) one.disabled = true;
    try {
      await answer(verdict, verdict === "denied" ? reason.value.trim() : "");
    } catch {
      for (const one of all) one.disabled = false;
    }
  }

  return box;
}
