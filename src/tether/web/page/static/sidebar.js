/**
 * The list of conversations: to find one, to begin one, to rename and to delete.
 *
 * @module
 */

import * as api from "./api.js";
import { button, el, setChildren } from "./dom.js";

/** @typedef {import("./api.js").Listed} Listed */

/** Milliseconds between two looks at the list: others may have begun conversations. */
const OFTEN = 10_000;
const TYPING = 200;

export class Sidebar {
  /**
   * @param {{open: (id: string) => void, recordings: () => void, begin: () => void, menu: (listed: Listed, from: HTMLElement) => void,
   *   complain: (message: string) => void}} wishes
   */
  constructor(wishes) {
    this.#wishes = wishes;
    this.#search = /** @type {HTMLInputElement} */ (
      el("input", { type: "search", class: "field", placeholder: "Search", "aria-label": "Search conversations" })
    );
    this.#list = el("ul", { class: "conversations" });
    this.#none = el("p", { class: "none", hidden: true });
    this.#more = button({ label: "Show more", class: "small", press: () => void this.#load(true) });
    this.#more.hidden = true;
    const begin = button({
      label: "New conversation",
      icon: "add",
      shown: true,
      class: "begin",
      press: wishes.begin,
    });
    const head = el("div", { class: "head" }, begin, this.#search);
    this.element = el(
      "nav",
      { id: "sidebar", "aria-label": "Conversations" },
      head,
      this.#list,
      this.#none,
      this.#more,
      button({ label: "Recordings", class: "quiet small", press: wishes.recordings }),
    );
    this.#search.addEventListener("input", () => this.#searchSoon());
    this.#list.addEventListener("keydown", (event) => this.#move(event));
    window.setInterval(() => document.visibilityState === "visible" && void this.refresh(), OFTEN);
    document.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "visible" && void this.refresh(),
    );
  }

  #wishes;
  #search;
  #list;
  #none;
  #more;
  /** @type {Listed[]} */
  #shown = [];
  /** @type {string | null} */
  #next = null;
  #current = "";
  #timer = 0;
  #asked = 0;
  /** @type {Map<string, {of: string, element: HTMLElement}>} */
  #rows = new Map();

  /** Look again. */
  async refresh() {
    await this.#load(false);
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** @param {string} id of the conversation that is open; empty for none */
  mark(id) {
    this.#current = id;
    this.#draw();
  }

  /** @param {boolean} isMore whether to go on behind what is shown */
  async #load(isMore) {
    const asked = (this.#asked += 1);
    try {
      const before = isMore ? this.#next : null;
      const page = await api.list({ search: this.#search.value.trim(), before });
      if (asked !== this.#asked) return;
      this.#shown = isMore ? [...this.#shown, ...page.conversations] : page.conversations;
      this.#next = page.next;
      this.#draw();
    } catch {
      // The stream of the open conversation shows that the server is away.
    }
  }

  #searchSoon() {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.refresh(), TYPING);
  }

  #draw() {
    const rows = this.#shown.map((listed) => this.#row(listed));
    setChildren(this.#list, rows);
    this.#more.hidden = !this.#next;
    this.#none.hidden = rows.length > 0;
    this.#none.textContent = this.#search.value.trim() ? "Nothing found." : "No conversations yet.";
    const ids = new Set(this.#shown.map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
  }

  /** @param {Listed} listed */
  #row(listed) {
    const isCurrent = listed.id === this.#current;
    const of = JSON.stringify([listed.title, listed.state, isCurrent, ageText(listed.updated)]);
    const known = this.#rows.get(listed.id);
    if (known?.of === of) return known.element;
    const element = this.#makeRow(listed, isCurrent);
    this.#rows.set(listed.id, { of, element });
    if (known?.element.contains(document.activeElement)) queueMicrotask(() => element.querySelector("a")?.focus());
    return element;
  }

  /** @param {Listed} listed @param {boolean} isCurrent */
  #makeRow(listed, isCurrent) {
    const title = listed.title || "New conversation";
    const link = el(
      "a",
      { href: `#${encodeURIComponent(listed.id)}`, "aria-current": isCurrent && "page", title },
      el("span", { class: "dot", "data-state": listed.state }),
      el("span", { class: "title", text: title }),
      listed.state !== "idle" && el("span", { class: "spoken", text: ` (${listed.state})` }),
      el("small", { text: ageText(listed.updated) }),
    );
    const menu = button({
      label: `More for ${title}`,
      icon: "more",
      class: "quiet small",
      press: () => this.#wishes.menu(listed, menu),
    });
    return el("li", {}, link, menu);
  }

  /** The arrow keys go from one to the next. @param {KeyboardEvent} event */
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = [...this.#list.querySelectorAll("a")];
    const here = links.findIndex((link) => link.parentElement?.contains(document.activeElement));
    event.preventDefault();
    links[Math.max(0, Math.min(links.length - 1, here + step))]?.focus();
  }
}

/** @param {number} time in seconds since the epoch */
function ageText(time) {
  if (!time) return "";
  const minutes = (Date.now() / 1000 - time) / 60;
  if (minutes < 1) return "now";
  if (minutes < 60) return `${Math.floor(minutes)} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  return new Date(time * 1000).toLocaleDateString([], { day: "numeric", month: "short" });
}
