// SPDX-License-Identifier: BSD-2-Clause
import { useState } from "preact/hooks";
import { ApiError } from "../api.js";
import { html } from "../html.js";
import { closeDialog } from "./dialog.js";

/**
 * @typedef {object} FormField
 * @property {string} name
 * @property {string} label
 * @property {string} [type] of the input
 * @property {{ value: string, label: string }[]} [choices]
 * @property {boolean} [optional]
 * @property {string} [value]
 * @property {string} [autocomplete]
 */

/**
 * The fields of a form, as a dialog or a plan asks for them.
 *
 * @param {{ fields: FormField[] }} properties
 */
export function Fields({ fields }) {
  return fields.map(
    ({ name, label, type = "text", choices, optional = false, value = "", autocomplete = "off" }) => html`
      <label key=${name}>
        ${label}
        ${choices
          ? html`<select name=${name}>
              ${choices.map(
                (each) => html`<option key=${each.value} value=${each.value} selected=${each.value === value}>${each.label}</option>`,
              )}
            </select>`
          : html`<input name=${name} type=${type} required=${!optional} defaultValue=${value} autocomplete=${autocomplete} />`}
      </label>
    `,
  );
}

/** @param {Event} event @returns {Record<string, string>} */
export function valuesOf(event) {
  const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
  return Object.fromEntries([...form].map(([name, value]) => [name, String(value)]));
}

/**
 * Asks for something, and does it; what is refused is told in the dialog.
 *
 * @param {object} properties
 * @param {FormField[]} [properties.fields]
 * @param {any} [properties.text] what is to be known before
 * @param {string} properties.title of the button
 * @param {boolean} [properties.danger]
 * @param {(values: Record<string, string>) => Promise<unknown>} properties.onSubmit
 */
export function FormDialog({ fields = [], text, title, danger = false, onSubmit }) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const values = valuesOf(event);
    setBusy(true);
    setProblem("");
    try {
      await onSubmit(values);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setProblem(error.message);
    }
    setBusy(false);
  }

  return html`
    <form onSubmit=${submit}>
      ${text ? html`<p>${text}</p>` : null}
      <${Fields} fields=${fields} />
      <p role="alert" class="problem">${problem}</p>
      <footer>
        <button type="button" onClick=${closeDialog}>Cancel</button>
        <button class=${danger ? "danger" : "primary"} disabled=${busy}>${title}</button>
      </footer>
    </form>
  `;
}
