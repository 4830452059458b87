/**
 * Recordings of runs: from the lines of a file to what was the case behind each event. Nothing runs; each moment is a
 * fold over what was noted before it. No network, no document.
 *
 * @module
 */

import { fold, fromSnapshot } from "./state.js";

/**
 * @typedef {object} Step right behind one event
 * @property {any} event null before the first
 * @property {number} seconds since the recording began
 * @property {{model: string, messages: number} | null} request what the model was asked last
 * @property {{id: string, text: string}[]} queued what waits to be said
 * @property {string[]} running the names of the calls that run
 * @property {string[]} inputs what was done from outside before the next event
 *
 * @typedef {{messages: any[], said: string, steps: Step[], end: string}} RecordedRun `end` is empty where the file ends
 *   before the run does
 * @typedef {{kind: string, seconds: number, said: any}} Note
 */

const VERSION = 1;
/** No reply has as many blocks; a list with a higher index would take all memory. */
const MOST_BLOCKS = 10_000;

/**
 * Read a recording; half a line at its end is left out.
 *
 * @param {string} text
 * @returns {RecordedRun[]}
 * @throws {Error} it is none, or it is damaged
 */
export function readRecording(text) {
  const lines = text.split("\n").slice(0, -1);
  const [head, ...notes] = lines.flatMap((line, index) => notesOf(line, index + 1));
  if (head?.kind !== "recording") throw new Error("This is not a recording of tether.");
  if (head.said?.version !== VERSION) {
    throw new Error(`This is a recording of version ${head.said?.version}; this page reads ${VERSION}.`);
  }
  try {
    return runsOf(notes);
  } catch (error) {
    throw new Error(`The recording is damaged: ${/** @type {Error} */ (error).message}`);
  }
}

/** Walks through a run, forward and back. */
export class Walk {
  /** @param {RecordedRun} run */
  constructor(run) {
    this.run = run;
    this.#view = begin(run);
  }

  number = 0;
  #view;

  /**
   * Go to an event.
   *
   * @param {number} number counted from 1; 0 is before the first
   * @returns {{step: Step, view: import("./state.js").View}}
   */
  to(number) {
    const last = this.run.steps.length - 1;
    const wanted = Math.max(0, Math.min(last, Math.trunc(number) || 0));
    if (wanted < this.number) {
      this.#view = begin(this.run, this.#view);
      this.number = 0;
    }
    while (this.number < wanted) {
      this.number += 1;
      this.#view = fold(this.#view, this.run.steps[this.number].event);
    }
    return { step: this.run.steps[this.number], view: this.#view };
  }
}

/** @param {RecordedRun} run @param {import("./state.js").View} [before] */
function begin(run, before) {
  const messages = run.messages.map((message) => ({ entry: message.id, message }));
  return fromSnapshot({ messages, waiting: [], state: "idle" }, before);
}

/** @param {string} line @param {number} number @returns {Note[]} */
function notesOf(line, number) {
  try {
    const [kind, seconds, said] = JSON.parse(line);
    if (kind !== "texts") return [{ kind, seconds, said }];
    return said.map((/** @type {any} */ [moment, ...piece]) => ({ kind: "text", seconds: moment / 1e6, said: piece }));
  } catch {
    throw new Error(number === 1 ? "This is not a recording of tether." : `Line ${number} cannot be read.`);
  }
}

/** @param {Note[]} notes @returns {RecordedRun[]} */
function runsOf(notes) {
  /** @type {RecordedRun[]} */
  const runs = [];
  /** @type {any[]} */
  let messages = [];
  for (const note of notes) {
    if (note.kind === "run") {
      messages = [...messages.slice(0, note.said.known), ...note.said.messages];
      runs.push({ messages, said: note.said.prompts.map(textOf).join(" "), steps: [START], end: "" });
    }
    const run = runs.at(-1);
    if (run) take(run, note);
  }
  return runs;
}

/** @type {Step} */
const START = Object.freeze({ event: null, seconds: 0, request: null, queued: [], running: [], inputs: [] });

/** @param {RecordedRun} run @param {Note} note */
function take(run, note) {
  const event = eventOf(note);
  const last = /** @type {Step} */ (run.steps.at(-1));
  if (event) {
    run.steps.push({ ...last, event, seconds: note.seconds, running: runningAfter(last.running, event), inputs: [] });
  } else {
    run.steps[run.steps.length - 1] = { ...last, ...changes(last, note) };
    run.end = endOf(note) ?? run.end;
  }
}

/** @param {Step} last @param {Note} note @returns {Partial<Step>} */
function changes(last, { kind, said }) {
  switch (kind) {
    case "request":
      return { request: { model: said.model, messages: said.known + said.messages.length } };
    case "queued":
      return { queued: [...last.queued, { id: said.message.id, text: textOf(said.message) }] };
    case "taken":
      return { queued: last.queued.filter(({ id }) => !said.includes(id)) };
    case "input":
      return { inputs: [...last.inputs, [said.what, said.call_id].filter(Boolean).join(" ")] };
    default:
      return {};
  }
}

/** @param {string[]} running @param {any} event */
function runningAfter(running, event) {
  const name = `${event.name} ${event.call_id}`;
  if (event.type === "tool_execution_start") return [...running, name];
  return event.type === "tool_execution_end" ? running.filter((one) => one !== name) : running;
}

/** @param {Note} note */
function endOf({ kind, said }) {
  if (kind === "result") return String(said.stop_reason);
  return kind === "raised" ? said.text ? `${said.kind}: ${said.text}` : String(said.kind) : null;
}

/** @param {Note} note */
function eventOf({ kind, said }) {
  switch (kind) {
    case "text":
      return update({ type: "text_delta", index: said[0], text: said[1] });
    case "delta":
      return update(said);
    case "event":
      return said.type === "message_update" ? update(said.delta) : said;
    default:
      return null;
  }
}

/** @param {any} delta */
function update(delta) {
  if (!Number.isInteger(delta.index) || delta.index < 0 || delta.index >= MOST_BLOCKS) {
    throw new Error("a piece of a reply has no place in it");
  }
  return { type: "message_update", delta };
}

/** @param {any} message */
function textOf({ content }) {
  const blocks = typeof content === "string" ? [{ type: "text", text: content }] : (content ?? []);
  return blocks.map((/** @type {any} */ block) => (block.type === "text" ? block.text : `[${block.type}]`)).join(" ");
}
