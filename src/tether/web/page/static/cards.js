/**
 * Tool calls as cards: what they were given, what they report, how they ended, and the question whether they may run.
 *
 * @module
 */

import { argumentElements, isEdit, subject, visible } from "./arguments.js";
import { textOf } from "./calls.js";
import { button, el, setChildren, setText } from "./dom.js";
import { mediaElement } from "./media.js";
import { question } from "./question.js";

/** @typedef {import("./calls.js").Call} Call */
/** @typedef {import("./transcript.js").Actions} Actions */

/** Characters of a result that are shown until somebody asks for all. */
const SHOWN = 20_000;

/** @type {Record<string, string>} */
const STATES = {
  writing: "preparing",
  ready: "next",
  running: "running",
  waiting: "needs your approval",
  lost: "no result",
  ok: "done",
  error: "failed",
  timeout: "timed out",
  denied: "denied",
  skipped: "skipped",
  interrupted: "interrupted",
};

export class Card {
  /**
   * @param {Actions} actions
   * @param {() => import("./transcript.js").Transcript} nested makes what shows an agent inside the call
   */
  constructor(actions, nested) {
    this.#actions = actions;
    this.#nested = nested;
    this.#name = el("code", { class: "name" });
    this.#subject = el("span", { class: "subject" });
    this.#time = el("span", { class: "time" });
    this.#state = el("span", { class: "state" });
    this.#summary = el(
      "summary",
      {},
      el("span", { class: "dot" }),
      this.#name,
      this.#subject,
      this.#time,
      this.#state,
    );
    this.#body = el("div", { class: "body" });
    this.#details = /** @type {HTMLDetailsElement} */ (el("details", {}, this.#summary, this.#body));
    this.#summary.addEventListener("click", () => (this.#chosen = !this.#details.open));
    this.#details.addEventListener("toggle", () => this.#drawBody());
    this.element = el("section", { class: "card", role: "group" }, this.#details);
  }

  #actions;
  #nested;
  #name;
  #subject;
  #time;
  #state;
  #summary;
  #body;
  #details;
  /** @type {boolean | null} whether a person opened or closed it */
  #chosen = null;
  /** @type {Call | null} */
  #call = null;
  /** @type {Map<string, {of: any, element: Node | null}>} what was drawn, by its part of the card */
  #parts = new Map();
  /** @type {Map<string, import("./transcript.js").Transcript>} */
  #agents = new Map();

  /**
   * Show the call as it is now.
   *
   * @param {Call} call
   */
  show(call) {
    if (call === this.#call) return true;
    this.#call = call;
    const state = call.state === "done" ? (call.result?.outcome ?? "ok") : call.state;
    this.element.dataset.state = state;
    this.element.dataset.call = call.id;
    this.element.setAttribute("aria-label", `${call.name}: ${STATES[state] ?? state}`);
    setText(this.#name, visible(call.name) || "\u2026");
    setText(this.#subject, call.arguments ? subject(call.arguments) : "");
    setText(this.#state, STATES[state] ?? state);
    this.tick(Date.now());
    this.#details.open = this.#chosen ?? opensByItself(call);
    return this.#drawBody();
  }

  /** Show the time that has passed. @param {number} now in milliseconds */
  tick(now) {
    const call = this.#call;
    if (!call) return;
    const seconds = call.duration ?? (call.startedAt === null ? null : (now - call.startedAt) / 1000);
    setText(this.#time, seconds === null ? "" : durationText(seconds));
    for (const agent of this.#agents.values()) agent.tick(now);
  }

  /** @returns {boolean} false if it has to be called again for the next frame */
  #drawBody() {
    const call = this.#call;
    if (!call) return true;
    if (!this.#details.open) {
      if (this.#body.contains(document.activeElement)) this.#summary.focus();
      this.#body.replaceChildren();
      return true;
    }
    const given = this.#part("given", call.arguments ?? call.written, () => givenElement(call));
    const asked = this.#part("asked", call.state === "waiting", () =>
      call.state === "waiting" ? this.#question(call) : null,
    );
    const answer = this.#part("answer", call.answer, () => answerElement(call));
    const { agents, done } = this.#agentsOf(call);
    const output = this.#part("output", call.result ?? call.output, () => outputElement(call));
    const media = this.#part("media", call.result ?? call.media, () => mediaRow(call));
    const cancel = this.#part("cancel", call.state === "running", () => this.#cancel(call));
    const hadFocus = document.activeElement?.closest(".question") && this.#body.contains(document.activeElement);
    const all = [given, asked, answer, ...agents, output, media, cancel];
    setChildren(this.#body, /** @type {Node[]} */ (all.filter((node) => node !== null)));
    if (hadFocus && !asked) this.#summary.focus();
    return done;
  }

  /**
   * A part of the card, made anew only where what it shows has changed.
   *
   * @param {string} name @param {any} of @param {() => Node | null} make
   */
  #part(name, of, make) {
    const known = this.#parts.get(name);
    if (known && known.of === of) return known.element;
    const element = make();
    this.#parts.set(name, { of, element });
    return element;
  }

  /** @param {Call} call */
  #agentsOf(call) {
    let done = true;
    const agents = Object.entries(call.children).map(([path, view]) => {
      const known = this.#agents.get(path) ?? this.#nested();
      this.#agents.set(path, known);
      done = known.show(view, path) && done;
      return known.element;
    });
    return { agents, done };
  }

  /** @param {Call} call */
  #question(call) {
    const { answer } = this.#actions;
    return answer && question(call.name, (verdict, reason) => answer(call.id, verdict, reason));
  }

  /** @param {Call} call */
  #cancel(call) {
    if (call.state !== "running" || !this.#actions.cancel) return null;
    const press = () => void this.#actions.cancel?.(call.id);
    return el("div", { class: "row end" }, button({ label: "Cancel this call", class: "small", press }));
  }
}

/** @param {number} seconds */
export function durationText(seconds) {
  if (seconds < 0.95) return `${Math.round(seconds * 100) * 10} ms`;
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** What a person wants to see without asking for it. @param {Call} call */
function opensByItself(call) {
  if (call.state === "waiting") return true;
  if (call.state === "running") return Boolean(call.output || Object.keys(call.children).length);
  if (call.state !== "done") return false;
  return (
    ["error", "denied"].includes(call.result?.outcome ?? "") ||
    (isEdit(call.arguments ?? {}) && call.result?.outcome === "ok")
  );
}

/** @param {Call} call */
function givenElement(call) {
  if (call.malformed !== null) return el("pre", { class: "raw", tabindex: "0", text: visible(call.malformed) });
  if (call.arguments === null) return el("pre", { class: "raw", text: visible(call.written.slice(-2000)) });
  const shown = argumentElements(call.arguments);
  return shown.length ? el("div", { class: "given" }, ...shown) : null;
}

/** What the result does not say already. @param {Call} call */
function answerElement({ answer }) {
  return answer?.verdict === "always" ? el("p", { class: "note", text: "Allowed, and from now on" }) : null;
}

/** @param {Call} call */
function outputElement(call) {
  // What an agent inside the call said last is its result.
  if (call.result?.outcome === "ok" && Object.keys(call.children).length) return null;
  const text = plain(call.result ? textOf(call.result.content) : call.output);
  if (!text.trim()) return null;
  const pre = el("pre", { class: "output", tabindex: "0", "aria-label": `Output of ${call.name}` });
  pre.textContent = call.result ? text.slice(0, SHOWN) : text.slice(-SHOWN);
  if (!call.result) queueMicrotask(() => (pre.scrollTop = pre.scrollHeight));
  if (!call.result || text.length <= SHOWN) return pre;
  const more = button({
    label: `Show all ${text.length.toLocaleString()} characters`,
    class: "small",
    press: () => {
      pre.textContent = text;
      more.remove();
    },
  });
  return el("div", {}, pre, more);
}

/** @param {Call} call */
function mediaRow(call) {
  const media = call.result ? call.result.content.filter((block) => block.type !== "text") : call.media;
  return media.length ? el("div", { class: "media-row" }, ...media.map(mediaElement)) : null;
}

/** Without the colours and the movements of a terminal. @param {string} text */
function plain(text) {
  return text
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-_]/g, "")
    .replace(/[^\n]*\r(?!\n)/g, "")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "");
}
