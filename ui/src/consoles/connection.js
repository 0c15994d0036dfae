// SPDX-License-Identifier: BSD-2-Clause
/** Opening the console of an instance: each connection takes a ticket, which is good once. */
import { segment, send } from "../api.js";

/**
 * @param {string} instance
 * @param {"serial" | "vnc"} stream
 * @param {boolean} takeOver whether others only watch from then on
 * @returns {Promise<string>} the address of a WebSocket
 */
export async function consoleAddress(instance, stream, takeOver) {
  const { uri } = await send("POST", `/2/instances/${segment(instance)}/console-ticket`, {
    stream,
    take_over: takeOver,
  });
  const address = new URL(uri, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  return address.href;
}

/**
 * Tell the node whether one watches only.
 *
 * @param {WebSocket | null} socket
 * @param {boolean} watch
 */
export function sendWatching(socket, watch) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ watch }));
}

/** @param {string} reason why the node has closed a console */
export const sentence = (reason) => `${reason[0]?.toUpperCase()}${reason.slice(1)}.`;

const FIRST_DELAY = 1000;
const MAX_DELAY = 10000;

/** How long to wait before a console is opened again that was closed: after a migration, or a sleep. */
export class Backoff {
  #delay = FIRST_DELAY;

  next() {
    const delay = this.#delay;
    this.#delay = Math.min(MAX_DELAY, delay * 2);
    return delay;
  }

  reset() {
    this.#delay = FIRST_DELAY;
  }
}
