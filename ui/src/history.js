// SPDX-License-Identifier: BSD-2-Clause
/** The past, as far as the journal of the cluster keeps it: read from the event stream. */
import { MessageParser } from "./event_stream.js";
import { request } from "./session.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {{ event: Row, changes: Change[] }} Entry */
/**
 * An object as a change has left it; without a value after it was removed.
 *
 * @typedef {{ id: string, at: number, action: string, why: string, value: any }} Version
 */
/** @typedef {{ path: string, before: unknown, after: unknown }} Change */

/** How many of the newest events are kept. */
const MAX_EVENTS = 5000;

/** After this long without a further event, all have been read. */
const QUIET = 1500;

/** What changes with every change, and tells nothing. */
const IGNORED = ["mtime", "serial_no"];

/**
 * Read the events that are kept.
 *
 * @param {string} name only those about an object of this name; all if it is empty
 * @param {AbortSignal} stop
 * @returns {Promise<{ events: Row[], complete: boolean }>} the oldest first; whether none is missing
 */
export async function readEvents(name, stop) {
  const abort = new AbortController();
  stop.addEventListener("abort", () => abort.abort());
  const selection = name ? `&name=${encodeURIComponent(name)}` : "";
  const response = await request(`/2/events?since=1${selection}`, { signal: abort.signal });
  if (!response.ok || !response.body) throw new Error(response.statusText);
  const parser = new MessageParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  /** @type {Row[]} */
  const events = [];
  let complete = true;
  let timer = setTimeout(() => abort.abort(), QUIET);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const message of parser.receive(value)) {
        if (message.event === "reset") complete = false;
        else if (!["ready", "lagged"].includes(message.event)) events.push(JSON.parse(message.data));
      }
      events.splice(0, events.length - MAX_EVENTS);
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), QUIET);
    }
  } catch (error) {
    if (stop.aborted || !abort.signal.aborted) throw error;
  }
  return { events, complete };
}

/**
 * Return events with what each has changed of its object, the newest first.
 *
 * @param {Row[]} events the oldest first
 * @returns {Entry[]}
 */
export function entriesOf(events) {
  /** @type {Map<string, any>} */
  const values = new Map();
  /** @type {Map<string, string>} of objects that are removed by now, which have none */
  const names = new Map();
  const entries = events.map((given) => {
    const key = String(given["uuid"] ?? "");
    const event = given["name"] ? given : { ...given, name: names.get(key) };
    if (given["name"]) names.set(key, given["name"]);
    const before = values.get(key);
    if (key && "value" in event) values.set(key, event["value"]);
    return { event, changes: before && event["value"] ? differences(before, event["value"]) : [] };
  });
  return entries.reverse();
}

/**
 * Return an object as each kept change has left it, the oldest first.
 *
 * @param {Row[]} events the oldest first
 * @param {string} uuid
 * @returns {Version[]}
 */
export function versionsOf(events, uuid) {
  return events
    .filter((event) => event["uuid"] === uuid && ("value" in event || event["action"] === "removed"))
    .map((event) => ({
      id: String(event["id"]),
      at: event["at"],
      action: event["action"],
      why: event["why"] ?? "",
      value: event["action"] === "removed" ? null : event["value"],
    }));
}

/**
 * @param {any} before
 * @param {any} after
 * @param {string} [path]
 * @returns {Change[]}
 */
export function differences(before, after, path = "") {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isRecord(before) || !isRecord(after)) return [{ path, before, after }];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => !IGNORED.includes(name))
    .flatMap((name) => differences(before[name], after[name], path ? `${path}.${name}` : name));
}

/** @param {unknown} value */
const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
