// SPDX-License-Identifier: BSD-2-Clause
import { tone } from "../format.js";
import { html } from "../html.js";

/** @type {Record<string, string>} */
const WORDS = {
  ADMIN_down: "stopped",
  ADMIN_offline: "offline",
  USER_down: "stopped by its user",
  ERROR_down: "crashed",
  ERROR_up: "running, should be stopped",
  ERROR_wrongnode: "running on the wrong node",
  ERROR_nodedown: "node does not answer",
  ERROR_nodeoffline: "node is offline",
};

/**
 * A status as a coloured word.
 *
 * @param {{ status: string | null, label?: string }} properties
 */
export function Status({ status, label }) {
  return html`<span class="status" data-tone=${tone(status)}>${label ?? WORDS[status ?? ""] ?? status ?? "unknown"}</span>`;
}
