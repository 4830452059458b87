/**
 * The page: one conversation, the list of all, and a place to write. Which conversation is open stands in the address.
 *
 * @module
 */

import { Announcer } from "./announce.js";
import * as api from "./api.js";
import { Composer } from "./composer.js";
import { askText, confirm, openMenu } from "./dialogs.js";
import { el } from "./dom.js";
import { Header } from "./header.js";
import { fileOf } from "./media.js";
import { openRecordings } from "./recordings.js";
import { Scroll } from "./scroll.js";
import { listenForShortcuts, showShortcuts } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { StatusLines, goToQuestion } from "./status.js";
import { Talk } from "./talk.js";
import { Transcript } from "./transcript.js";

const TICK = 500;
/** Milliseconds between two looks at a run from a tab that nobody sees: its title tells when it needs somebody. */
const LOOKED_AT = 15_000;

/** Events that change what the list of conversations says. */
const LISTED = new Set(["agent_start", "approval_requested", "approval_answered", "agent_end"]);

class App {
  constructor() {
    this.#sidebar = new Sidebar({
      open: (id) => this.#go(id),
      recordings: openRecordings,
      begin: () => this.#begin(),
      menu: (listed, from) => this.#menu(listed.id, listed.title, from),
      complain: (message) => this.#status.complain(message),
    });
    this.#header = new Header({
      sidebar: () => this.#toggleSidebar(),
      menu: (from) => this.#talk && this.#menu(this.#talk.id, this.#talk.title, from),
      help: showShortcuts,
    });
    this.#composer = new Composer({
      say: (text, uploads, when) => this.#say(text, uploads, when),
      stop: async () => void (this.#talk && (await api.abort(this.#talk.id))),
      conversation: () => this.#conversation(),
      complain: (message) => this.#status.complain(message),
    });
    this.#transcript = this.#makeTranscript();
    this.#welcome = el("div", { class: "welcome" }, this.#welcomeTitle, this.#welcomeText);
    const log = el("section", {
      class: "log",
      role: "log",
      "aria-live": "off",
      "aria-label": "Conversation",
      tabindex: "0",
    });
    log.append(this.#welcome, this.#transcript.element);
    this.#log = log;
    this.#scroll = new Scroll(log);
    this.#main = el("main", {}, this.#header.element, log, this.#foot());
    this.#veil = el("div", { class: "veil", on: { click: () => this.#toggleSidebar(false) } });
    const skip = el("a", {
      class: "skip",
      href: "#message",
      text: "Skip to the message field",
      on: { click: this.#skip },
    });
    document.body.append(skip, this.#sidebar.element, this.#veil, this.#main, this.#announcer.element);
    this.#listen();
    this.#composer.open("");
    this.#route();
    this.#invite();
    void this.#learn();
    void this.#sidebar.refresh();
  }

  #announcer = new Announcer();
  #status = new StatusLines();
  #welcomeTitle = el("h2", { text: "What would you like to do?" });
  #welcomeText = el("p");
  #composer;
  #header;
  #log;
  #main;
  #scroll;
  #sidebar;
  #transcript;
  #veil;
  #welcome;
  /** @type {Talk | null} */
  #talk = null;
  /** @type {Promise<string> | null} the conversation that is being made */
  #making = null;
  #model = "";
  #isDrawing = false;

  #foot() {
    const inner = el("div", { class: "column" }, this.#status.element, this.#composer.element);
    return el("footer", {}, this.#scroll.element, inner);
  }

  #makeTranscript() {
    return new Transcript({
      answer: (callId, verdict, reason) => this.#tried(() => api.answer(this.#id, callId, verdict, reason)),
      cancel: (callId) => this.#tried(() => api.cancel(this.#id, callId)),
      fork: (entry) => this.#tried(async () => this.#go((await api.fork(this.#id, entry, false)).id)),
      edit: (entry, text, media) => this.#tried(() => this.#sayAnew(entry, text, media)),
    });
  }

  get #id() {
    return this.#talk?.id ?? "";
  }

  #listen() {
    window.addEventListener("hashchange", () => this.#route());
    window.addEventListener("keydown", (event) => event.key === "Escape" && this.#toggleSidebar(false));
    window.setInterval(() => this.#tick(), TICK);
    window.setInterval(() => this.#lookHidden(), LOOKED_AT);
    document.addEventListener("visibilitychange", () => this.#draw());
    const drop = { dragover: this.#drag, dragleave: this.#drag, drop: this.#drag };
    for (const [type, listener] of Object.entries(drop)) this.#main.addEventListener(type, listener);
    listenForShortcuts({
      search: () => (this.#toggleSidebar(true), this.#sidebar.focusSearch()),
      begin: () => this.#begin(),
      message: () => this.#composer.focus(),
      question: goToQuestion,
    });
  }

  async #learn() {
    try {
      const { model, accepts, max_upload: largest } = await api.info();
      this.#model = model;
      this.#composer.allow(accepts, largest);
      this.#welcomeText.textContent = `${model} is ready.`;
      this.#draw();
      this.#composer.offer((await api.commands()).commands);
    } catch (error) {
      const { status, message } = /** @type {api.ApiError} */ (error);
      if (status === 401) this.#lock();
      else this.#status.complain(message);
    }
  }

  /** The server does not know this browser. */
  #lock() {
    this.#welcomeTitle.textContent = "Not signed in";
    this.#welcomeText.textContent = "Open the link that the server printed when it was started.";
    document.body.classList.add("locked");
  }

  /** Show the conversation of the address. */
  #route() {
    const id = idInAddress();
    if (id === this.#id && (id || !this.#making)) return this.#drawNow();
    this.#talk?.close();
    this.#making = null;
    this.#transcript.clear();
    this.#talk = id ? this.#open(id) : null;
    this.#composer.open(id);
    this.#sidebar.mark(id);
    this.#toggleSidebar(false);
    this.#scroll.toEnd();
    this.#drawNow();
    this.#invite();
  }

  /** Let a person type at once, except where that would open a keyboard on the screen. */
  #invite() {
    if (matchMedia("(hover: hover)").matches) this.#composer.focus();
  }

  /** @param {string} id @param {boolean} [isNew] whether it was made just now */
  #open(id, isNew = false) {
    /** @type {Talk} */
    const talk = new Talk(id, isNew, {
      changed: () => this.#draw(),
      deleted: () => this.#talk === talk && this.#leave("This conversation is not there any more."),
      happened: (event) => {
        this.#announcer.tell(event);
        if (LISTED.has(event.type)) void this.#sidebar.refresh();
      },
    });
    return talk;
  }

  /** @param {string} id */
  #go(id) {
    location.hash = encodeURIComponent(id);
  }

  #begin() {
    this.#go("");
    this.#composer.focus();
  }

  /** @param {string} why */
  #leave(why) {
    this.#status.complain(why);
    this.#go("");
    void this.#sidebar.refresh();
  }

  /** The id of the open conversation; the first thing that is said or attached makes one. */
  async #conversation() {
    if (this.#talk) return this.#talk.id;
    this.#making ??= api.create().then(({ id }) => id);
    try {
      const id = await this.#making;
      this.#adopt(id);
      return id;
    } catch (error) {
      this.#making = null;
      throw error;
    }
  }

  /** Open a conversation that was just made, with what is written and attached. @param {string} id */
  #adopt(id) {
    if (this.#talk) return;
    this.#talk = this.#open(id, true);
    this.#composer.adopt(id);
    this.#making = null;
    history.pushState(null, "", `#${encodeURIComponent(id)}`);
    this.#sidebar.mark(id);
  }

  /**
   * @param {string} text @param {string[]} uploads @param {string} when
   * @returns {Promise<boolean>} whether the agent has it
   */
  async #say(text, uploads, when) {
    await this.#conversation();
    this.#scroll.toEnd();
    const told = (await this.#talk?.say(text, uploads, when)) ?? null;
    if (told) this.#status.tell(told);
    void this.#sidebar.refresh();
    return told === null;
  }

  /** Say something else in place of what was said, in a fork. @param {string} entry @param {string} text @param {any[]} media */
  async #sayAnew(entry, text, media) {
    const { id } = await api.fork(this.#id, entry, true);
    const files = media.map(fileOf).filter((file) => file !== null);
    const sent = await Promise.all(files.map((file) => api.upload(id, file, file.name)));
    await api.say(id, { text, uploads: sent.map((one) => one.id), when: "steer" });
    this.#go(id);
    void this.#sidebar.refresh();
  }

  /** @template T @param {() => Promise<T>} act @returns {Promise<void>} rejects too, after it has said why */
  async #tried(act) {
    try {
      await act();
    } catch (error) {
      this.#status.complain(/** @type {Error} */ (error).message);
      throw error;
    }
  }

  /** @param {string} id @param {string} title @param {HTMLElement} from */
  #menu(id, title, from) {
    openMenu(from, [
      { label: "Rename\u2026", press: () => void this.#rename(id, title) },
      { label: "Export as Markdown", href: api.exportAddress(id, "markdown") },
      { label: "Export as HTML", href: api.exportAddress(id, "html") },
      { label: "Export as JSON lines", href: api.exportAddress(id, "jsonl") },
      { label: "Delete\u2026", press: () => void this.#remove(id, title) },
    ]);
  }

  /** @param {string} id @param {string} title */
  async #rename(id, title) {
    const name = await askText({ title: "Rename the conversation", value: title, action: "Rename" });
    if (name === null) return;
    await this.#tried(() => api.rename(id, name)).catch(() => null);
    await this.#sidebar.refresh();
  }

  /** @param {string} id @param {string} title */
  async #remove(id, title) {
    const text = `\u201c${title || "New conversation"}\u201d and all that was said in it will be gone. A run of it ends.`;
    if (!(await confirm({ title: "Delete the conversation?", text, action: "Delete" }))) return;
    await this.#tried(() => api.remove(id)).catch(() => null);
    if (id === this.#id) this.#begin();
    await this.#sidebar.refresh();
  }

  /** @param {boolean} [isOpen] */
  #toggleSidebar(isOpen = !document.body.classList.contains("sidebar-open")) {
    const wasOpen = document.body.classList.contains("sidebar-open");
    document.body.classList.toggle("sidebar-open", isOpen);
    this.#header.showSidebar(isOpen);
    if (isOpen) this.#sidebar.element.querySelector("button")?.focus();
    else if (wasOpen) this.#header.focusSidebarButton();
  }

  /** Files over the conversation can be dropped anywhere on it. @param {any} event */
  #drag = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const isOver =
      event.type === "dragover" || (event.type === "dragleave" && this.#main.contains(event.relatedTarget));
    this.#main.toggleAttribute("data-drop", isOver);
    if (event.type === "drop") this.#composer.attachments.add(event.dataTransfer.files);
  };

  /** @param {Event} event */
  #skip = (event) => {
    event.preventDefault();
    this.#composer.focus();
  };

  #lookHidden() {
    if (document.visibilityState === "visible" || !this.#talk?.isRunning) return;
    this.#talk.look().then(
      () => this.#header.show(this.#talk, this.#model),
      () => null,
    );
  }

  #tick() {
    if (document.visibilityState === "hidden") return;
    this.#transcript.tick(Date.now());
    this.#status.show(this.#talk);
  }

  /** Draw with the next frame, however many changes come before it. */
  #draw() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.#drawNow();
    });
  }

  #drawNow() {
    const talk = this.#talk;
    const isDone = talk ? this.#transcript.show(talk.view) : true;
    const isEmpty = !talk || (!talk.view.items.length && !talk.isRunning);
    this.#welcome.hidden = !isEmpty || (talk !== null && talk.status !== "live" && talk.status !== "hidden");
    this.#log.setAttribute("aria-busy", String(Boolean(talk?.isRunning)));
    this.#header.show(talk, this.#model);
    this.#announcer.ask(talk?.view.waiting ?? []);
    this.#composer.show(Boolean(talk?.isRunning));
    this.#status.show(talk);
    this.#scroll.follow();
    if (!isDone) this.#draw();
  }
}

/** The conversation that the address names; empty where it names none. */
function idInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

new App();
