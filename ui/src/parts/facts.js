// SPDX-License-Identifier: BSD-2-Clause
import { text } from "../format.js";
import { html } from "../html.js";

/**
 * Names and values, one below the other.
 *
 * @param {{ facts: [string, any][] }} properties
 */
export function Facts({ facts }) {
  return html`
    <dl class="facts">
      ${facts.map(
        ([name, value]) => html`
          <div key=${name}>
            <dt>${name}</dt>
            <dd dir="auto">${isTemplate(value) ? value : text(value)}</dd>
          </div>
        `,
      )}
    </dl>
  `;
}

/** @param {any} value */
function isTemplate(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && "props" in value && "type" in value;
}
