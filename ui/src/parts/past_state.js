// SPDX-License-Identifier: BSD-2-Clause
import { useState } from "preact/hooks";
import { text, time } from "../format.js";
import { differences } from "../history.js";
import { html } from "../html.js";

/** @typedef {import("../history.js").Version} Version */

/**
 * An object as it was at some time, and what was different at another one.
 *
 * @param {{ versions: Version[], at: string }} properties the oldest first; the id of the one to begin with
 */
export function PastState({ versions, at }) {
  const [shown, setShown] = useState(at);
  const [other, setOther] = useState("");
  const found = versions.find((each) => each.id === shown);
  const compared = versions.find((each) => each.id === other);
  if (!found) return null;
  return html`
    <div class="past">
      <${Choice} label="As of" versions=${versions} value=${shown} onChange=${setShown} />
      <${Choice} label="Compared with" versions=${versions} value=${other} onChange=${setOther} none="nothing" />
      ${compared
        ? html`<${Comparison} before=${compared.value} after=${found.value} />`
        : html`<pre tabindex="0" aria-label="State">${found.value === null ? "It does not exist." : JSON.stringify(found.value, null, 2)}</pre>`}
    </div>
  `;
}

/**
 * @param {object} properties
 * @param {string} properties.label
 * @param {Version[]} properties.versions
 * @param {string} properties.value
 * @param {(id: string) => void} properties.onChange
 * @param {string} [properties.none]
 */
function Choice({ label, versions, value, onChange, none }) {
  return html`
    <label>
      ${label}
      <select value=${value} onChange=${(/** @type {any} */ event) => onChange(event.currentTarget.value)}>
        ${none ? html`<option value="">${none}</option>` : null}
        ${versions.map(
          (each) => html`
            <option key=${each.id} value=${each.id}>${time(each.at)} ${each.action}${each.why ? ` (${each.why})` : ""}</option>
          `,
        )}
      </select>
    </label>
  `;
}

/** @param {{ before: any, after: any }} properties */
function Comparison({ before, after }) {
  const changes = differences(before, after);
  if (!changes.length) return html`<p role="status">Nothing was different.</p>`;
  return html`
    <ul aria-label="Differences">
      ${changes.map(
        ({ path, before: old, after: now }) => html`
          <li key=${path}><code>${path || "all"}</code>: ${text(old)} → ${text(now)}</li>
        `,
      )}
    </ul>
  `;
}
