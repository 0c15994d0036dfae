// SPDX-License-Identifier: BSD-2-Clause
/** Requests to the remote API. */
import { request } from "./session.js";

/** @typedef {Record<string, any>} Row */

/** An answer that is an error, with the server's message. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [abort]
 * @returns {Promise<any>}
 */
export async function send(method, path, body, abort) {
  /** @type {RequestInit} */
  const init = { method, signal: abort ?? null };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  let response;
  try {
    response = await request(path, init);
  } catch (error) {
    if (abort?.aborted) throw error;
    throw new ApiError(0, "The server does not answer; the console tries again by itself.");
  }
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let message = response.statusText;
  try {
    message = JSON.parse(text).message;
  } catch {
    // An answer of something in between, such as a proxy.
  }
  throw new ApiError(response.status, message);
}

/**
 * @param {string} path
 * @param {AbortSignal} [abort]
 */
export const get = (path, abort) => send("GET", path, undefined, abort);

/**
 * Return fields of the objects of a kind; a field without a value is null.
 *
 * @param {string} kind
 * @param {string[]} fields
 * @param {unknown[] | null} [filter]
 * @returns {Promise<Row[]>}
 */
export async function query(kind, fields, filter = null) {
  const answer = await send("PUT", `/2/query/${kind}`, { fields, qfilter: filter });
  return answer.data.map((/** @type {[number, any][]} */ cells) => {
    /** @type {Row} */
    const row = {};
    for (const [index, field] of fields.entries()) {
      const cell = cells[index];
      row[field] = cell && cell[0] === 0 ? cell[1] : null;
    }
    return row;
  });
}

/** Encode a segment of a path. */
export const segment = encodeURIComponent;
