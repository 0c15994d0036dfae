// SPDX-License-Identifier: BSD-2-Clause
import { useEffect } from "preact/hooks";
import { time } from "../format.js";
import { html } from "../html.js";
import { JobLink } from "../router.js";
import { tables } from "../store.js";
import { Status } from "./status.js";

const SHOWN = 8;

/**
 * The newest jobs whose summary names an object.
 *
 * @param {{ name: string }} properties
 */
export function JobsOf({ name }) {
  useEffect(() => tables.job.use(), []);
  const found = [];
  for (const job of [...tables.job.rows.value.values()].reverse()) {
    if (job["summary"]?.some((/** @type {string} */ summary) => summary.includes(name))) found.push(job);
    if (found.length >= SHOWN) break;
  }
  return html`
    <section>
      <h2>Jobs</h2>
      ${found.length
        ? html`<ul class="jobs">
            ${found.map(
              (job) => html`
                <li key=${job["id"]}>
                  <${JobLink} id=${job["id"]} />
                  <${Status} status=${job["status"]} />
                  <span class="summary">${job["summary"].join(", ")}</span>
                  <span class="muted">${time(job["received_ts"])}</span>
                </li>
              `,
            )}
          </ul>`
        : html`<p class="muted">None that are kept.</p>`}
    </section>
  `;
}
