// SPDX-License-Identifier: BSD-2-Clause
/** A job: its opcodes, its log as it is written, its end. */
import { useEffect, useState } from "preact/hooks";
import { ApiError, get, send } from "../api.js";
import { duration, failureOf, seconds, time } from "../format.js";
import { html } from "../html.js";
import { Facts } from "../parts/facts.js";
import { notify } from "../parts/notices.js";
import { Status } from "../parts/status.js";
import { onEvent } from "../store.js";

/** @typedef {import("../api.js").Row} Row */

const ENDED = ["success", "error", "canceled"];

/** Members of an opcode that every one has. */
const COMMON = ["OP_ID", "debug_level", "priority", "depends", "reason", "comment", "dry_run"];

/** @param {{ name: string }} properties the number of the job */
export function Job({ name }) {
  const [job, setJob] = useState(/** @type {Row | null} */ (null));
  const [problem, setProblem] = useState("");

  useEffect(() => {
    let reading = false;
    let again = false;
    let ended = false;
    // Events say that there is news; what it is comes with the job, in order and once.
    async function read() {
      if (reading) {
        again = true;
        return;
      }
      reading = true;
      do {
        again = false;
        try {
          const found = await get(`/2/jobs/${encodeURIComponent(name)}`);
          if (!ended) setJob(found);
          setProblem("");
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          setProblem(error.message);
        }
      } while (again && !ended);
      reading = false;
    }
    const close = onEvent((event) => {
      if (event["kind"] === "job" && String(event["job"] ?? event["value"]?.id) === name) read();
    });
    read();
    return () => {
      ended = true;
      close();
    };
  }, [name]);

  async function cancel() {
    try {
      const [done, text] = await send("DELETE", `/2/jobs/${encodeURIComponent(name)}`);
      notify(text, done ? "good" : "bad");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      notify(error.message, "bad");
    }
  }

  if (!job) return html`<h1>Job ${name}</h1><p role="status">${problem || "Loading …"}</p>`;
  const [start, end] = [seconds(job["start_ts"]), seconds(job["end_ts"])];
  const waited = start === null ? null : start - (seconds(job["received_ts"]) ?? start);
  return html`
    <div class="title">
      <h1>Job ${name}</h1>
      <${Status} status=${job["status"]} />
      ${ENDED.includes(job["status"]) ? null : html`<button class="danger" onClick=${cancel}>Cancel job</button>`}
    </div>
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    <${Facts}
      facts=${[
        ["Received", time(job["received_ts"])],
        ["Waited", duration(waited)],
        ["Started", time(job["start_ts"])],
        ["Ended", time(job["end_ts"])],
        ["Run time", duration(start !== null && end !== null ? end - start : null)],
      ]}
    />
    ${job["ops"].map(
      (/** @type {Row} */ opcode, /** @type {number} */ index) => html`
        <section key=${index} class="panel">
          <h2>${job["summary"][index]} <${Status} status=${job["opstatus"][index]} /></h2>
          <details>
            <summary>Parameters</summary>
            <${Facts} facts=${Object.entries(opcode).filter(([key, value]) => !COMMON.includes(key) && value !== null)} />
          </details>
          <${Log} entries=${job["oplog"][index]} />
          <${Result} status=${job["opstatus"][index]} value=${job["opresult"][index]} />
          <${Reason} trail=${opcode["reason"] ?? []} />
        </section>
      `,
    )}
  `;
}

/** @param {{ entries: [number, [number, number], string, any][] }} properties */
function Log({ entries }) {
  if (!entries?.length) return null;
  return html`
    <div class="log" role="log" aria-label="Log" tabindex="0">
      ${entries.map(
        ([serial, at, kind, message]) => html`
          <div key=${serial}>
            <time>${time(at)}</time> ${kind === "message" ? message : `${kind}: ${JSON.stringify(message)}`}
          </div>
        `,
      )}
    </div>
  `;
}

/** @param {{ status: string, value: any }} properties */
function Result({ status, value }) {
  if (value === null || value === undefined) return null;
  if (status === "error" || status === "canceled") {
    return html`<p class="problem">${failureOf(value)}</p>`;
  }
  return html`<details><summary>Result</summary><pre tabindex="0">${JSON.stringify(value, null, 2)}</pre></details>`;
}

/** @param {{ trail: [string, string, number][] }} properties */
function Reason({ trail }) {
  const said = trail.filter(([, why]) => why && !why.startsWith("job="));
  if (!said.length) return null;
  return html`<p class="muted">Reason: ${said.map(([source, why]) => `${why} (${source})`).join("; ")}</p>`;
}
