// SPDX-License-Identifier: BSD-2-Clause
import { html } from "../html.js";

/**
 * A short table under a heading.
 *
 * @param {object} properties
 * @param {string} properties.title
 * @param {string[]} properties.columns
 * @param {{ key: string | number, cells: any[] }[]} properties.rows texts or templates
 * @param {any} [properties.tools] buttons beside the heading
 */
export function PlainTable({ title, columns, rows, tools }) {
  return html`
    <section aria-label=${title}>
      <div class="heading"><h2>${title}</h2>${tools}</div>
      ${rows.length
        ? html`
            <div class="scroll" tabindex="0" role="region" aria-label=${title}>
              <table>
                <thead><tr>${columns.map((each) => html`<th key=${each} scope="col">${each}</th>`)}</tr></thead>
                <tbody>
                  ${rows.map(
                    ({ key, cells }) =>
                      html`<tr key=${key}>${cells.map((cell, index) => html`<td key=${index} dir="auto">${cell}</td>`)}</tr>`,
                  )}
                </tbody>
              </table>
            </div>
          `
        : html`<p class="muted">None.</p>`}
    </section>
  `;
}
