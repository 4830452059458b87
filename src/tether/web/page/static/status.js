/**
 * The lines above the composer: what waits for a person, what was said and waits, how the connection is, what went wrong.
 *
 * @module
 */

import { visible } from "./arguments.js";
import { button, el } from "./dom.js";

/**
 * @typedef {import("./talk.js").Talk} Talk
 * @typedef {{of: any, make: () => HTMLElement}} Line
 */

/** Milliseconds: a connection that comes back at once is not worth a line. */
const PATIENCE = 1500;
const LONGEST_SEEN = 12_000;

export class StatusLines {
  constructor() {
    this.#lines = el("div", { class: "lines" });
    this.#problems = el("div", { class: "problems", role: "alert" });
    this.element = el("div", { class: "status" }, this.#problems, this.#lines);
  }

  #lines;
  #problems;
  #shown = "";
  #awaySince = 0;

  /** @param {Talk | null} talk */
  show(talk) {
    const lines = talk ? this.#linesOf(talk) : [];
    const shown = JSON.stringify(lines.map(({ of }) => of));
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#lines.replaceChildren(...lines.map(({ make }) => make()));
  }

  /** Say what went wrong. @param {string} message */
  complain(message) {
    const line = this.#add(message, "line problem");
    setTimeout(() => line.remove(), LONGEST_SEEN);
  }

  /** Show what a command has told, until it is dismissed. @param {string} text */
  tell(text) {
    this.#add(text, "line told");
  }

  /** @param {string} text @param {string} style */
  #add(text, style) {
    const line = el("p", { class: style }, el("span", { text }));
    const leave = button({ label: "Dismiss", icon: "close", class: "quiet small", press: () => line.remove() });
    line.append(leave);
    this.#problems.append(line);
    return line;
  }

  /** @param {Talk} talk @returns {Line[]} */
  #linesOf(talk) {
    const { waiting, retry } = talk.view;
    /** @type {Line[]} */
    const lines = talk.queued.filter(isShown).map((queued) => ({ of: queued, make: () => queuedLine(queued) }));
    if (retry)
      lines.unshift({ of: retry, make: () => line(`The model failed: ${visible(retry.message)} Asking again.`) });
    if (waiting.length) lines.push({ of: waiting, make: () => waitingLine(waiting) });
    if (talk.status === "paused") lines.push({ of: "paused", make: () => line(PAUSED) });
    const away = this.#away(talk);
    if (away) lines.push({ of: away, make: () => awayLine(away, talk) });
    return lines;
  }

  /** @param {Talk} talk */
  #away({ status }) {
    if (status === "locked") return LOCKED;
    if (status !== "away" && status !== "connecting") this.#awaySince = 0;
    else if (!this.#awaySince) this.#awaySince = Date.now();
    return this.#awaySince && Date.now() - this.#awaySince > PATIENCE ? AWAY : "";
  }
}

const AWAY = "The server is not reached. Trying again\u2026";
const PAUSED = "Paused: other tabs follow conversations. It goes on once this one is used.";
const LOCKED = "This browser is not signed in any more. Open the link that the server printed when it was started.";

/** @param {string} text */
const line = (text) => el("p", { class: "line" }, el("span", { text }));

/** What somebody else said may begin a run, and waits for moments then. @param {import("./talk.js").Queued} queued */
const isShown = ({ when, since }) => when !== "" || Date.now() - since > PATIENCE;

/** @type {Record<string, string>} */
const WAITS = { steer: "At the next step", interrupt: "At once", follow_up: "When the run is done", "": "Waits" };

/** @param {import("./talk.js").Queued} queued */
function queuedLine({ text, when }) {
  const shown = text.slice(0, 300) || "An attachment";
  return el("p", { class: "line queued" }, el("small", { text: WAITS[when] }), el("span", { text: shown }));
}

/** @param {import("./state.js").Waiting[]} waiting */
function waitingLine(waiting) {
  const [first] = waiting;
  const rest = waiting.length > 1 ? ` and ${waiting.length - 1} more` : "";
  const text = el(
    "span",
    {},
    el("code", { text: visible(first.name) }),
    `${rest} need${rest ? "" : "s"} your approval`,
  );
  return el(
    "p",
    { class: "line asks" },
    text,
    button({ label: "Show", class: "small", press: () => goToQuestion() }),
  );
}

/** Bring the first question into view, and the focus to it. */
export function goToQuestion() {
  const question = document.querySelector(".question");
  question?.scrollIntoView({ block: "center" });
  /** @type {HTMLElement | null | undefined} */ (question?.querySelector("button"))?.focus();
}

/** @param {string} text @param {Talk} talk */
function awayLine(text, talk) {
  const made = line(text);
  made.classList.add("problem");
  if (text === AWAY) made.append(button({ label: "Try now", class: "small", press: () => talk.retry() }));
  return made;
}
