/**
 * The fold: from the events of a conversation to what is to be seen of it.
 *
 * `fold` returns a new view and leaves the old one as it is. What an event does not concern stays the very same object,
 * so that whoever draws it sees by identity what has to be drawn anew. No clock, no network, no document.
 *
 * @module
 */

import { answered, asked, ended, fromBlock, lost, progressed, started, writing, written } from "./calls.js";

/**
 * @typedef {import("./calls.js").Call} Call
 * @typedef {{type: "text" | "thinking", text: string, open: boolean}} Prose
 * @typedef {{type: string, [name: string]: any}} Media
 * @typedef {Prose | Call | Media} Block
 *
 * @typedef {object} UserItem
 * @property {"user"} kind
 * @property {string} key stays the same while the item lives
 * @property {string} id of its message
 * @property {Media[]} blocks
 * @property {number} time seconds since the epoch; 0 where it is not known
 *
 * @typedef {object} ReplyItem
 * @property {"reply"} kind
 * @property {string} key
 * @property {string} id
 * @property {(Block | undefined)[]} blocks by their index; one that has not begun is missing
 * @property {boolean} open whether it is still arriving
 * @property {string | null} stop why it ended
 * @property {{kind: string, message: string} | null} error
 * @property {string} model
 * @property {number} time
 *
 * @typedef {{kind: "custom", key: string, id: string, name: string, data: any}} CustomItem
 * @typedef {{kind: "notice", key: string, reason: string, limit: string | null, message: string}} NoticeItem
 * @typedef {UserItem | ReplyItem | CustomItem | NoticeItem} Item
 *
 * @typedef {object} View
 * @property {Item[]} items in the order in which they are shown
 * @property {boolean} running
 * @property {{attempt: number, delay: number, message: string} | null} retry the model is asked again
 * @property {Waiting[]} waiting the questions that are open, those of agents inside calls too
 * @property {Record<string, [number, number]>} places item and block of the last call of each id
 * @property {number} made how many items were made; their keys come from it
 *
 * @typedef {{callId: string, name: string, path: string[]}} Waiting
 */

/** @type {View} */
export const EMPTY = Object.freeze({
  items: [],
  running: false,
  retry: null,
  waiting: [],
  places: {},
  made: 0,
});

/** An empty view whose items have other keys than those of the view before it. @param {View} before @returns {View} */
export const emptyAfter = ({ made }) => ({ ...EMPTY, made });

/**
 * Take in the next event.
 *
 * @param {View} view
 * @param {any} event as `tether.to_json` writes it
 * @param {number | null} [at] when it happened, in milliseconds; null for one of the past
 * @returns {View}
 */
export function fold(view, event, at = null) {
  switch (event.type) {
    case "agent_start":
      return { ...view, running: true, retry: null };
    case "message_start":
      return event.message.role === "assistant" ? withReply(view, event.message) : view;
    case "message_update":
      return onLastReply(view, (reply) => withDelta(reply, event.delta));
    case "message_end":
      return withMessage(view, event.message);
    case "model_retry":
      return { ...view, retry: { attempt: event.attempt, delay: event.delay, message: event.error.message } };
    case "tool_execution_start":
      return onCall(view, event, (call) => started(call, event, at));
    case "approval_requested":
      return withQuestion(
        onCall(view, event, (call) => asked(call, event)),
        event,
        [],
      );
    case "approval_answered":
      return withoutQuestion(
        onCall(view, event, (call) => answered(call, event, at)),
        event.call_id,
      );
    case "tool_execution_update":
      return withProgress(view, event, at);
    case "tool_execution_end":
      return withoutQuestion(
        onCall(view, event, (call) => ended(call, event.result, event.duration)),
        event.call_id,
      );
    case "agent_end":
      return withEnd(view, event);
    default:
      return view;
  }
}

/**
 * The view of a conversation that the server sends whole.
 *
 * @param {{messages: {entry: string, message: any}[], waiting: any[], state: string}} snapshot
 * @param {View} [before] the view that this one follows
 * @returns {View}
 */
export function fromSnapshot(snapshot, before = EMPTY) {
  let view = emptyAfter(before);
  for (const { entry, message } of snapshot.messages) {
    view = withMessage(view, { ...message, id: entry || message.id });
  }
  view = { ...view, running: snapshot.state !== "idle" };
  for (const event of snapshot.waiting ?? []) view = fold(view, event);
  return view;
}

/** @param {View} view @param {any} message */
function withMessage(view, message) {
  switch (message.role) {
    case "user":
      return withItem(view, { kind: "user", id: message.id, blocks: message.content, time: message.timestamp });
    case "assistant":
      return withWholeReply(view, message);
    case "tool":
      return onCall(view, message, (call) => (call.result ? call : ended(call, message, null)));
    default:
      return withItem(view, { kind: "custom", id: message.id, name: message.kind, data: message.data });
  }
}

/** @param {View} view @param {object} item @returns {View} */
function withItem(view, item) {
  const key = `item-${view.made}`;
  const made = /** @type {Item} */ ({ ...item, key });
  return { ...view, items: [...view.items, made], made: view.made + 1 };
}

/** @param {View} view @param {any} message the reply as far as it is known */
function withReply(view, message) {
  const reply = {
    kind: "reply",
    id: message.id ?? "",
    blocks: [],
    open: true,
    stop: null,
    error: null,
    model: message.model ?? "",
    time: message.timestamp ?? 0,
  };
  return { ...withItem(view, reply), retry: null };
}

/** @param {View} view @param {any} message */
function withWholeReply(view, message) {
  return onLastReply(view, (reply) => ({
    ...reply,
    id: message.id,
    blocks: message.content.map((/** @type {any} */ block) => wholeBlock(reply, block)),
    open: false,
    stop: message.stop_reason,
    error: message.error,
    model: message.model,
    time: message.timestamp,
  }));
}

/** @param {ReplyItem} reply @param {any} block @returns {Block} */
function wholeBlock(reply, block) {
  if (block.type === "text" || block.type === "thinking") return { ...block, open: false };
  if (block.type !== "tool_call") return block;
  const known = reply.blocks.find((one) => one?.type === "call" && one.id === block.id);
  return fromBlock(/** @type {Call | undefined} */ (known), block);
}

/** @param {ReplyItem} reply @param {any} delta @returns {ReplyItem} */
function withDelta(reply, delta) {
  const blocks = [...reply.blocks];
  blocks[delta.index] = withMore(reply, blocks[delta.index], delta);
  return { ...reply, blocks };
}

/** @param {ReplyItem} reply @param {any} block @param {any} delta @returns {Block | undefined} */
function withMore(reply, block, delta) {
  switch (delta.type) {
    case "text_delta":
      return { type: "text", text: (block?.text ?? "") + delta.text, open: true };
    case "thinking_delta":
      return { type: "thinking", text: (block?.text ?? "") + delta.text, open: true };
    case "tool_call_start":
      return writing(delta.id, delta.name);
    case "tool_call_delta":
      return written(block ?? writing("", ""), delta.arguments);
    case "block_end":
      return wholeBlock(reply, delta.block);
    default:
      return block;
  }
}

/**
 * Change the reply that is arriving; where its start was missed, it begins here.
 *
 * @param {View} before
 * @param {(reply: ReplyItem) => ReplyItem} change
 * @returns {View}
 */
function onLastReply(before, change) {
  const last = before.items.at(-1);
  const view = last?.kind === "reply" && last.open ? before : withReply(before, {});
  const place = view.items.length - 1;
  const reply = change(/** @type {ReplyItem} */ (view.items[place]));
  return { ...view, items: replaced(view.items, place, reply), places: withPlaces(view.places, reply, place) };
}

/** @param {View["places"]} places @param {ReplyItem} reply @param {number} item */
function withPlaces(places, reply, item) {
  /** @type {[string, [number, number]][]} */
  const news = [];
  reply.blocks.forEach((block, index) => {
    if (block?.type !== "call") return;
    const [knownItem, knownIndex] = own(places, block.id) ?? [];
    if (knownItem !== item || knownIndex !== index) news.push([block.id, [item, index]]);
  });
  return news.length ? { ...places, ...Object.fromEntries(news) } : places;
}

/**
 * Change a call; one that no reply has made is shown as if the last one had.
 *
 * @param {View} before
 * @param {{call_id: string, name: string}} about
 * @param {(call: Call) => Call} change
 * @returns {View}
 */
function onCall(before, about, change) {
  const view = own(before.places, about.call_id) ? before : withStrayCall(before, about);
  const [place, index] = view.places[about.call_id];
  const reply = /** @type {ReplyItem} */ (view.items[place]);
  const call = change(/** @type {Call} */ (reply.blocks[index]));
  const changed = { ...reply, blocks: replaced(reply.blocks, index, call) };
  return { ...view, items: replaced(view.items, place, changed) };
}

/** @param {View} view @param {{call_id: string, name: string}} about @returns {View} */
function withStrayCall(view, { call_id: id, name }) {
  const block = { type: "tool_call", id, name, arguments: {} };
  const begun = onLastReply(view, (reply) => ({ ...reply, blocks: [...reply.blocks, wholeBlock(reply, block)] }));
  return onLastReply(begun, (reply) => ({ ...reply, open: false }));
}

/** @param {View} view @param {any} event @param {number | null} at @returns {View} */
function withProgress(view, event, at) {
  if (!event.event) return onCall(view, event, (call) => progressed(call, event.content));
  const path = event.path.join(" \u203a ");
  const next = onCall(view, event, (call) => {
    const child = fold(own(call.children, path) ?? EMPTY, event.event, at);
    return { ...call, children: { ...call.children, [path]: child } };
  });
  return withQuestionOfChild(next, event);
}

/** @param {View} view @param {any} event an update that carries an event of a child */
function withQuestionOfChild(view, { call_id: outer, path, event }) {
  if (event.type === "approval_requested") return withQuestion(view, event, [outer, ...path]);
  if (event.type === "approval_answered") return withoutQuestion(view, event.call_id);
  return event.type === "tool_execution_end" ? withoutQuestion(view, event.call_id) : view;
}

/** @param {View} view @param {any} event @param {string[]} path @returns {View} */
function withQuestion(view, event, path) {
  const question = { callId: event.call_id, name: event.name, path };
  const others = withoutQuestion(view, event.call_id);
  return { ...others, waiting: [...others.waiting, question] };
}

/** @param {View} view @param {string} callId @returns {View} */
function withoutQuestion(view, callId) {
  const waiting = view.waiting.filter((question) => question.callId !== callId && question.path[0] !== callId);
  return waiting.length === view.waiting.length ? view : { ...view, waiting };
}

/** @param {View} before @param {any} event @returns {View} */
function withEnd(before, event) {
  const view = { ...before, items: before.items.map(settled), running: false, retry: null, waiting: [] };
  const last = view.items.at(-1);
  const isTold = last?.kind === "reply" && (last.error || last.stop === "aborted" || last.stop === "refusal");
  if (isTold || ["stop", "terminated"].includes(event.stop_reason)) return view;
  const message = event.error?.message ?? "";
  return withItem(view, { kind: "notice", reason: event.stop_reason, limit: event.limit, message });
}

/** Nothing of a run that is over goes on. @param {Item} item @returns {Item} */
function settled(item) {
  if (item.kind !== "reply") return item;
  const blocks = item.blocks.map((block) => (block?.type === "call" ? lost(/** @type {Call} */ (block)) : block));
  const isSame = !item.open && blocks.every((block, index) => block === item.blocks[index]);
  return isSame ? item : { ...item, blocks, open: false };
}

/**
 * What an object has under a name that others chose, which may be that of something every object has.
 *
 * @template T @param {Record<string, T>} object @param {string} name @returns {T | undefined}
 */
function own(object, name) {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** @template T @param {T[]} row @param {number} place @param {T} one @returns {T[]} */
function replaced(row, place, one) {
  const next = [...row];
  next[place] = one;
  return next;
}
