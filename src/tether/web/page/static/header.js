/**
 * The line above a conversation: its title, its model, what it has cost, and how the page looks.
 *
 * @module
 */

import { button, el, icon, setText } from "./dom.js";

/** @typedef {import("./talk.js").Talk} Talk */

export class Header {
  /** @param {{sidebar: () => void, menu: (from: HTMLElement) => void, help: () => void}} wishes */
  constructor(wishes) {
    this.#title = el("h1", { id: "title" });
    this.#model = el("span", { class: "model" });
    this.#spent = el("span", { class: "spent" });
    this.#theme = button({ label: "Theme", icon: "auto", class: "quiet", press: () => this.#turnTheme() });
    this.#more = button({ label: "More", icon: "more", class: "quiet", press: () => wishes.menu(this.#more) });
    this.#sidebar = button({
      label: "Conversations",
      icon: "menu",
      class: "quiet only-narrow",
      press: wishes.sidebar,
    });
    const help = button({ label: "Keyboard shortcuts", icon: "help", class: "quiet not-narrow", press: wishes.help });
    const facts = el("div", { class: "facts" }, this.#model, this.#spent);
    this.element = el("header", {}, this.#sidebar, this.#title, facts, help, this.#theme, this.#more);
    this.#sidebar.setAttribute("aria-expanded", "false");
    this.#sidebar.setAttribute("aria-controls", "sidebar");
    this.#showTheme();
  }

  #title;
  #model;
  #spent;
  #theme;
  #more;
  #sidebar;

  /** @param {Talk | null} talk @param {string} model where no conversation is open */
  show(talk, model) {
    const title = talk ? talk.title || "New conversation" : "New conversation";
    setText(this.#title, title);
    setText(this.#model, talk?.model || model);
    setText(this.#spent, talk ? spentText(talk) : "");
    this.#spent.title = talk?.usage ? usageText(talk.usage) : "";
    this.#more.hidden = !talk;
    const mark =
      talk?.view.waiting.length || talk?.state === "waiting" ? "\u25cf " : talk?.isRunning ? "\u2026 " : "";
    const page = `${mark}${title}`;
    if (document.title !== page) document.title = page;
  }

  /** @param {boolean} isOpen whether the list of conversations is seen */
  showSidebar(isOpen) {
    this.#sidebar.setAttribute("aria-expanded", String(isOpen));
  }

  focusSidebarButton() {
    this.#sidebar.focus();
  }

  #turnTheme() {
    document.documentElement.dispatchEvent(new Event("tether-theme"));
    this.#showTheme();
  }

  #showTheme() {
    const theme = document.documentElement.dataset.theme ?? "auto";
    const label = `Theme: ${theme === "auto" ? "as the system" : theme}`;
    this.#theme.replaceChildren(icon(theme));
    this.#theme.title = label;
    this.#theme.setAttribute("aria-label", label);
  }
}

/** @param {Talk} talk */
function spentText({ cost, usage }) {
  const tokens = (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0);
  const price = !cost ? "" : `$${cost.toFixed(cost < 0.1 ? 4 : 2)}`;
  return [tokens ? `${shortNumber(tokens)} tokens` : "", price].filter(Boolean).join(" \u00b7 ");
}

/** @param {any} usage */
function usageText(usage) {
  const parts = [
    `${usage.input_tokens.toLocaleString()} tokens read`,
    `${usage.output_tokens.toLocaleString()} written`,
    usage.cache_read_tokens && `${usage.cache_read_tokens.toLocaleString()} from a cache`,
    usage.estimated && "some of it estimated",
  ];
  return parts.filter(Boolean).join(", ");
}

/** @param {number} number */
function shortNumber(number) {
  if (number < 1000) return String(number);
  return number < 1e6 ? `${(number / 1000).toFixed(number < 1e4 ? 1 : 0)} k` : `${(number / 1e6).toFixed(1)} M`;
}
