/**
 * The part of the fold that concerns one tool call. Pure, as `state.js` is.
 *
 * @module
 */

/**
 * @typedef {"writing" | "ready" | "running" | "waiting" | "done" | "lost"} CallState `writing`: its arguments arrive;
 *   `lost`: its run ended without an answer to it
 *
 * @typedef {object} Call
 * @property {"call"} type
 * @property {string} id
 * @property {string} name
 * @property {CallState} state
 * @property {string} written its arguments as far as they have arrived, as JSON text
 * @property {Record<string, any> | null} arguments null until they are whole
 * @property {string | null} malformed what the model wrote in place of a JSON object
 * @property {{verdict: string, reason: string} | null} answer to the question whether it may run
 * @property {string} output what it has reported so far
 * @property {any[]} media pictures and documents that it has reported
 * @property {Record<string, import("./state.js").View>} children agents inside it, by their path
 * @property {{outcome: string, content: any[]} | null} result
 * @property {number | null} duration in seconds
 * @property {number | null} startedAt in milliseconds; null where nobody saw it start
 */

/** @param {string} id @param {string} name @returns {Call} */
export function writing(id, name) {
  return {
    type: "call",
    id,
    name,
    state: "writing",
    written: "",
    arguments: null,
    malformed: null,
    answer: null,
    output: "",
    media: [],
    children: {},
    result: null,
    duration: null,
    startedAt: null,
  };
}

/** @param {Call} call @param {string} text @returns {Call} */
export function written(call, text) {
  return { ...call, written: call.written + text };
}

/** @param {Call | undefined} known @param {any} block the call as the whole reply has it @returns {Call} */
export function fromBlock(known, block) {
  const call = known ?? writing(block.id, block.name);
  return {
    ...call,
    name: block.name,
    arguments: call.state === "writing" ? block.arguments : call.arguments,
    malformed: block.malformed ?? null,
    state: call.state === "writing" ? "ready" : call.state,
  };
}

/** @param {Call} call @param {any} event @param {number | null} at @returns {Call} */
export function started(call, event, at) {
  return { ...call, state: "running", arguments: event.arguments, startedAt: at };
}

/** @param {Call} call @param {any} event @returns {Call} */
export function asked(call, event) {
  return { ...call, state: "waiting", arguments: event.arguments, startedAt: null, answer: null };
}

/** @param {Call} call @param {any} event @param {number | null} [at] @returns {Call} */
export function answered(call, event, at = null) {
  const answer = { verdict: event.verdict, reason: event.reason };
  return { ...call, state: call.result ? "done" : "running", answer, startedAt: at };
}

/** @param {Call} call @param {any[]} content @returns {Call} */
export function progressed(call, content) {
  let output = call.output;
  for (const block of content) {
    if (block.type !== "text") continue;
    const joint = output && !output.endsWith("\n") ? "\n" : "";
    output += joint + block.text;
  }
  const media = content.filter((block) => block.type !== "text");
  return { ...call, output: output.slice(-LONGEST), media: media.length ? [...call.media, ...media] : call.media };
}

/** @param {Call} call @param {any} result its message @param {number | null} duration @returns {Call} */
export function ended(call, result, duration) {
  return {
    ...call,
    state: "done",
    result: { outcome: result.outcome, content: result.content },
    duration,
    startedAt: null,
  };
}

/** @param {Call} call @returns {Call} */
export function lost(call) {
  return call.state === "done" || call.state === "lost" ? call : { ...call, state: "lost", startedAt: null };
}

/** The text blocks of a content, joined. @param {any[]} content */
export function textOf(content) {
  return content
    .filter((block) => block.type === "text")
    .map((block) => block.text)
    .join("");
}

/** Characters of live output that are kept; the result has the rest. */
const LONGEST = 100_000;
