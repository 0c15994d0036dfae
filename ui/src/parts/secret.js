// SPDX-License-Identifier: BSD-2-Clause
import { useState } from "preact/hooks";
import { html } from "../html.js";
import { closeDialog } from "./dialog.js";

/**
 * A secret that was made. It is kept nowhere, so that nothing can show it again.
 *
 * @param {object} properties
 * @param {string} properties.label
 * @param {string} properties.warning where it belongs
 * @param {string} properties.value
 * @param {any} properties.children what becomes of it
 */
export function Secret({ label, warning, value, children }) {
  const [copied, setCopied] = useState(false);
  const copy = () => navigator.clipboard.writeText(value).then(() => setCopied(true), () => {});
  return html`
    <p class="warning">${warning}</p>
    <label class="secret">
      ${label}
      <input readonly value=${value} onFocus=${(/** @type {any} */ event) => event.currentTarget.select()} />
    </label>
    ${copied ? html`<p role="status">It was copied.</p>` : children}
    <footer class="buttons">
      <button onClick=${copy}>Copy</button>
      <button class="primary" onClick=${closeDialog}>Done</button>
    </footer>
  `;
}
