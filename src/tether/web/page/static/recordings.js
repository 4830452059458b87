/**
 * The window that shows recordings: those of the server, or a file of the visitor's. It only reads.
 *
 * @module
 */

import * as api from "./api.js";
import { button, el, setText } from "./dom.js";
import { readRecording, Walk } from "./recording.js";
import { Transcript } from "./transcript.js";

/** Bytes of a file that are read. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Characters of an event that are shown. */
const SHOWN = 20_000;

const READ_ONLY = { answer: null, cancel: null, fork: null, edit: null };

/** Open the window. */
export function openRecordings() {
  const window = new Recordings();
  document.body.append(window.element);
  window.element.showModal();
  void window.list();
}

class Recordings {
  constructor() {
    this.#names = select("Recording", (name) => this.#open(name, () => api.recording(name)));
    this.#file = /** @type {HTMLInputElement} */ (
      el("input", { type: "file", "aria-label": "Open a file of this computer" })
    );
    // So that the same file, which may have grown, can be chosen again.
    this.#file.addEventListener("click", () => (this.#file.value = ""));
    this.#file.addEventListener("change", () => this.#openFile());
    this.#more = button({ label: "Show more", class: "small", press: () => void this.list() });
    this.#more.hidden = true;
    const heading = el("h2", { id: "recordings-title", text: "Recordings" });
    const close = button({ label: "Close", press: () => this.element.close() });
    this.element = /** @type {HTMLDialogElement} */ (
      el(
        "dialog",
        { class: "recordings", "aria-labelledby": "recordings-title" },
        el("div", { class: "row" }, heading, el("span", { class: "space" }), close),
        el("div", { class: "row" }, this.#names, this.#more, this.#file),
        this.#problem,
        this.#player.element,
      )
    );
    this.element.addEventListener("keydown", (event) => event.stopPropagation());
    this.element.addEventListener("close", () => this.element.remove());
  }

  #names;
  #file;
  #more;
  /** The name behind which the list goes on. @type {string | null} */
  #next = null;
  #problem = el("p", { class: "problem", role: "alert" });
  #player = new Player((message) => this.#complain(message));
  /** What was asked for last: what comes later than that is not shown. */
  #wanted = "";

  /** Fetch the names of the server's recordings: the latest, or those behind what is listed. */
  async list() {
    try {
      const before = this.#next;
      const { recordings, next } = await api.recordings(before);
      if (before !== this.#next) return; // it was pressed twice
      const options = recordings.map(({ name, size }) => ({ value: name, text: `${name} (${sizeText(size)})` }));
      if (before) {
        add(this.#names, options);
      } else {
        const none = recordings.length ? "Choose a recording\u2026" : "The server has no recordings of yours";
        fill(this.#names, [{ value: "", text: none }, ...options]);
      }
      this.#next = next;
      this.#more.hidden = !next;
      if (before && !next) this.#names.focus(); // the button that had it is gone
    } catch (error) {
      this.#complain(/** @type {Error} */ (error).message);
    }
  }

  #openFile() {
    const file = this.#file.files?.[0];
    if (!file) return;
    this.#names.value = "";
    void this.#open(file.name, () => {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} is larger than ${sizeText(MOST_BYTES)}.`);
      return file.text();
    });
  }

  /** @param {string} name @param {() => Promise<string>} read */
  async #open(name, read) {
    this.#wanted = name;
    this.#player.close();
    this.#complain("");
    if (!name) return;
    try {
      const runs = readRecording(await read());
      if (!runs.length) throw new Error("There is no run in this recording yet.");
      if (name === this.#wanted) this.#player.open(runs);
    } catch (error) {
      if (name === this.#wanted) this.#complain(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} message */
  #complain(message) {
    setText(this.#problem, message);
  }
}

/** Steps through the runs of one recording. */
class Player {
  /** @param {(message: string) => void} complain */
  constructor(complain) {
    this.#complain = complain;
    this.#runs = select("Run", (place) => this.#start(Number(place)));
    this.#number = /** @type {HTMLInputElement} */ (
      el("input", { type: "number", class: "field", min: "0", "aria-label": "Event" })
    );
    this.#number.addEventListener("change", () => this.#go(this.#number.valueAsNumber));
    const to = (/** @type {string} */ label, /** @type {() => number} */ place) =>
      button({ label, class: "small", press: () => this.#go(place()) });
    const keys = [
      to("First", () => 0),
      to("Back", () => this.#here - 1),
      to("Next", () => this.#here + 1),
      to("Last", () => Infinity),
    ];
    const log = el(
      "section",
      { class: "recorded", role: "region", "aria-label": "Recorded conversation", tabindex: "0" },
      this.#transcript.element,
    );
    this.element = el(
      "div",
      { class: "player", hidden: true },
      el("div", { class: "row" }, this.#runs, ...keys, this.#number, this.#place),
      this.#waits,
      el("details", {}, el("summary", { text: "The event" }), this.#event),
      log,
    );
  }

  #complain;
  #runs;
  #number;
  #place = el("output", { role: "status" });
  #waits = el("ul", { class: "waits", "aria-label": "What waits" });
  #event = el("pre", { tabindex: "0" });
  #transcript = new Transcript(READ_ONLY);
  /** @type {import("./recording.js").RecordedRun[]} */
  #recorded = [];
  /** @type {Walk | null} */
  #walk = null;

  /** @param {import("./recording.js").RecordedRun[]} runs at least one */
  open(runs) {
    this.#recorded = runs;
    fill(
      this.#runs,
      runs.map(({ said }, place) => ({ value: `${place}`, text: `Run ${place + 1}: ${said.slice(0, 60)}` })),
    );
    this.element.hidden = false;
    this.#start(0);
  }

  close() {
    this.#recorded = [];
    this.#walk = null;
    this.#transcript.clear();
    this.element.hidden = true;
  }

  get #here() {
    return this.#walk?.number ?? 0;
  }

  /** @param {number} place of a run */
  #start(place) {
    this.#transcript.clear();
    this.#tried(() => {
      this.#walk = new Walk(this.#recorded[place]);
      this.#number.max = `${this.#last}`;
      this.#go(0);
    });
  }

  get #last() {
    return (this.#walk?.run.steps.length ?? 1) - 1;
  }

  /** @param {number} number of an event; one that there is not is the nearest */
  #go(number) {
    const walk = this.#walk;
    if (!walk) return;
    this.#tried(() => {
      const { step, view } = walk.to(number);
      this.#draw(view);
      this.#tell(step);
    });
  }

  /** @param {() => void} show what a damaged recording may make fail */
  #tried(show) {
    try {
      show();
    } catch {
      this.#complain("The recording is damaged: its events cannot be shown.");
      this.close();
    }
  }

  /** @param {import("./state.js").View} view */
  #draw(view) {
    if (this.#transcript.show(view)) return;
    const [walk, here] = [this.#walk, this.#here];
    requestAnimationFrame(() => {
      if (walk === this.#walk && here === this.#here) this.#tried(() => this.#draw(view));
    });
  }

  /** @param {import("./recording.js").Step} step */
  #tell(step) {
    const isLast = this.#here === this.#last;
    const what = step.event ? step.event.type : "before the first event";
    const end = !isLast ? "" : this.#walk?.run.end ? ` \u00b7 end: ${this.#walk.run.end}` : " \u00b7 cut off here";
    this.#number.value = `${this.#here}`;
    setText(this.#place, `${this.#here} of ${this.#last} \u00b7 ${step.seconds.toFixed(3)} s \u00b7 ${what}${end}`);
    setText(this.#event, step.event ? abridged(JSON.stringify(step.event, null, 2)) : "");
    this.#waits.replaceChildren(...waiting(step).map((text) => el("li", { text: abridged(text) })));
  }
}

/** @param {import("./recording.js").Step} step */
function waiting({ request, queued, running, inputs }) {
  return [
    ...(request ? [`Asked last: ${request.model}, with ${request.messages} messages`] : []),
    ...running.map((call) => `Running: ${call}`),
    ...queued.map(({ text }) => `Waits to be said: ${text}`),
    ...inputs.map((input) => `Done from outside: ${input}`),
  ];
}

/** @param {string} text */
const abridged = (text) => (text.length > SHOWN ? `${text.slice(0, SHOWN)}\u2026` : text);

/** @param {string} label @param {(value: string) => void} choose */
function select(label, choose) {
  const made = /** @type {HTMLSelectElement} */ (el("select", { class: "field", "aria-label": label }));
  made.addEventListener("change", () => choose(made.value));
  return made;
}

/** @param {HTMLSelectElement} list @param {{value: string, text: string}[]} options */
function fill(list, options) {
  list.replaceChildren();
  add(list, options);
}

/** @param {HTMLSelectElement} list @param {{value: string, text: string}[]} options */
function add(list, options) {
  list.append(...options.map(({ value, text }) => el("option", { value, text })));
}

/** @param {number} bytes */
function sizeText(bytes) {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${Math.round(bytes / 1024 / 1024)} MiB`;
}
