/**
 * What the page asks of the server. All addresses are relative: the application may be mounted anywhere.
 *
 * @module
 */

/** The server refused, or could not be reached (`status` 0). */
export class ApiError extends Error {
  /** @param {number} status @param {string} kind @param {string} message */
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

/** @returns {Promise<{version: string, model: string, accepts: string[], max_upload: number, features: string[]}>} */
export const info = () => ask("GET", "info");

/** @returns {Promise<{commands: import("./commands.js").Command[]}>} what a message may begin with */
export const commands = () => ask("GET", "commands");

/**
 * @typedef {{id: string, title: string, updated: number, state: string, model: string, messages: number}} Listed
 *
 * @param {{search?: string, before?: string | null}} which
 * @returns {Promise<{conversations: Listed[], next: string | null}>}
 */
export const list = ({ search = "", before = null }) =>
  ask("GET", `conversations?${new URLSearchParams({ search, limit: "50", ...(before && { before }) })}`);

/** @returns {Promise<{id: string}>} */
export const create = () => ask("POST", "conversations", {});

/** @param {string} id @returns {Promise<any>} */
export const snapshot = (id) => ask("GET", of(id));

/** @param {string} id */
export const remove = (id) => ask("DELETE", of(id));

/** @param {string} id @param {string} title */
export const rename = (id, title) => ask("POST", of(id, "rename"), { title });

/**
 * @param {string} id
 * @param {{text: string, uploads: string[], when: string}} said
 * @returns {Promise<{id: string, started: boolean} | {told: string}>} what a command has told, where it said nothing
 */
export const say = (id, said) => ask("POST", of(id, "say"), said);

/** @param {string} id */
export const abort = (id) => ask("POST", of(id, "abort"), {});

/** @param {string} id @param {string} callId */
export const cancel = (id, callId) => ask("POST", of(id, "cancel"), { call_id: callId });

/** @param {string} id @param {string} callId @param {string} verdict @param {string} reason */
export const answer = (id, callId, verdict, reason) =>
  ask("POST", of(id, "answer"), { call_id: callId, verdict, ...(reason && { reason }) });

/** @param {string} id @param {string} entry @param {boolean} edit @returns {Promise<{id: string}>} */
export const fork = (id, entry, edit) => ask("POST", of(id, "fork"), { entry, edit });

/**
 * @param {string} id @param {Blob} file @param {string} name
 * @returns {Promise<{id: string, media_type: string, name: string, size: number}>}
 */
export const upload = (id, file, name) =>
  request("POST", `${of(id, "uploads")}?${new URLSearchParams({ name })}`, {
    body: file,
    headers: { "content-type": file.type || "application/octet-stream" },
  });

/**
 * @param {string | null} before the name behind which the list goes on
 * @returns {Promise<{recordings: {name: string, size: number}[], next: string | null}>} those of the visitor, the latest
 *   first
 */
export const recordings = (before) =>
  ask("GET", `recordings?${new URLSearchParams({ limit: "100", ...(before && { before }) })}`);

/** @param {string} name @returns {Promise<string>} */
export const recording = (name) =>
  request("GET", `recordings/${encodeURIComponent(name)}`, {}, (response) => response.text());

/** @param {string} id @param {string} format */
export const exportAddress = (id, format) => `api/${of(id, "export")}?format=${format}`;

/** @param {string} id @param {string} after @returns {string} */
export const eventsAddress = (id, after) => `api/${of(id, "events")}?after=${encodeURIComponent(after)}`;

/** @param {string} id @param {string} [what] */
function of(id, what) {
  return ["conversations", encodeURIComponent(id), ...(what ? [what] : [])].join("/");
}

/** @param {string} method @param {string} path @param {object} [body] */
function ask(method, path, body) {
  const sent = { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return request(method, path, body === undefined ? {} : sent);
}

/** @param {Response} response */
const json = (response) => response.json().catch(() => null);

/**
 * @param {string} method
 * @param {string} path
 * @param {RequestInit} options
 * @param {(response: Response) => Promise<any>} [read] what is taken of an answer that is no error
 */
async function request(method, path, options, read = json) {
  let response;
  try {
    response = await fetch(`api/${path}`, { method, ...options });
  } catch {
    throw new ApiError(0, "connection", "The server cannot be reached.");
  }
  if (response.ok) return read(response);
  const body = await json(response);
  const { kind = "server", message = `The server answered ${response.status}.` } = body?.error ?? {};
  throw new ApiError(response.status, kind, message);
}
