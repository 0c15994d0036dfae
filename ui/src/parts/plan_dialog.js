// SPDX-License-Identifier: BSD-2-Clause
import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../api.js";
import { html } from "../html.js";
import { JobLink } from "../router.js";
import { tables } from "../store.js";
import { closeDialog } from "./dialog.js";
import { Fields, valuesOf } from "./form_dialog.js";
import { notify } from "./notices.js";
import { Status } from "./status.js";

/** @typedef {import("../actions.js").Order} Order */
/** @typedef {import("../actions.js").Input} Input */

/** Plans that are made; more objects are treated in the same way. */
const MAX_PLANS = 20;

/**
 * The steps of an action: what it needs to know, what it would do, and its jobs.
 *
 * @param {{ action: any, objects: string[] }} properties
 */
export function PlanDialog({ action, objects }) {
  const inputs = /** @type {Input[]} */ (action.inputs ?? []);
  const [values, setValues] = useState(/** @type {Record<string, string> | null} */ (inputs.length ? null : {}));
  if (values === null) return html`<${Inputs} inputs=${inputs} onDone=${setValues} />`;
  const orders = objects.map((name) => action.order(name, values));
  return html`<${Plans} orders=${orders} title=${action.title} danger=${Boolean(action.danger)} />`;
}

/** @param {{ inputs: Input[], onDone: (values: Record<string, string>) => void }} properties */
function Inputs({ inputs, onDone }) {
  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault();
    onDone(valuesOf(event));
  }
  const fields = inputs.map((each) => ({
    ...each,
    choices: each.choices?.map((value) => ({ value, label: value })),
  }));
  return html`
    <form onSubmit=${submit}>
      <${Fields} fields=${fields} />
      <footer>
        <button type="button" onClick=${closeDialog}>Cancel</button>
        <button class="primary">Show plan</button>
      </footer>
    </form>
  `;
}

/** @param {Order} order */
const planOf = (order) =>
  send(order.method, `${order.path}${order.path.includes("?") ? "&" : "?"}plan=1`, order.body);

/**
 * What requests would do; then, if confirmed, their jobs.
 *
 * @param {{ orders: Order[], title: string, danger?: boolean }} properties
 */
export function Plans({ orders, title, danger = false }) {
  const [plans, setPlans] = useState(/** @type {({ order: Order, plan?: any, problem?: string })[]} */ ([]));
  const [jobs, setJobs] = useState(/** @type {{ order: Order, id?: number, problem?: string }[] | null} */ (null));
  const [busy, setBusy] = useState(false);
  const planned = orders.slice(0, MAX_PLANS);

  useEffect(() => {
    let ended = false;
    setPlans([]);
    Promise.all(
      planned.map(async (order) => {
        try {
          return { order, plan: await planOf(order) };
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          return { order, problem: error.message };
        }
      }),
    ).then((found) => ended || setPlans(found));
    return () => {
      ended = true;
    };
  }, [JSON.stringify(orders)]);

  async function submit() {
    setBusy(true);
    const found = [];
    for (const order of orders) {
      try {
        found.push({ order, id: await send(order.method, order.path, order.body) });
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        found.push({ order, problem: error.message });
      }
    }
    setJobs(found);
    for (const { order, problem } of found) if (problem) notify(`${order.label}: ${problem}`, "bad");
  }

  if (jobs) return html`<${Submitted} jobs=${jobs} />`;
  const possible = plans.some((each) => each.plan);
  return html`
    <div class="plans">
      ${plans.length
        ? plans.map(({ order, plan, problem }) => html`<${Plan} key=${order.path} plan=${plan} problem=${problem} label=${order.label} />`)
        : html`<p role="status">Planning …</p>`}
      ${orders.length > planned.length ? html`<p class="muted">and the same for ${orders.length - planned.length} more</p>` : null}
      <footer>
        <button onClick=${closeDialog}>Cancel</button>
        <button class=${danger ? "danger" : "primary"} disabled=${busy || !possible} onClick=${submit}>
          ${title}${orders.length > 1 ? ` ${orders.length}` : ""}
        </button>
      </footer>
    </div>
  `;
}

/** @param {{ plan?: any, problem?: string, label: string }} properties */
function Plan({ plan, problem, label }) {
  if (!plan) {
    return html`<article class="plan"><h3>${label}</h3><p class="problem" role="alert">${problem}</p></article>`;
  }
  return html`
    <article class="plan">
      <h3>${plan.summary}</h3>
      ${plan.irreversible ? html`<p class="warning"><strong>Cannot be undone:</strong> ${plan.irreversible}</p>` : null}
      <dl>
        <dt>Changes</dt>
        <dd>${plan.steps.map((/** @type {string} */ step) => html`<div key=${step}>${step}</div>`)}</dd>
        <dt>Locks</dt>
        <dd>
          ${plan.locks.length
            ? plan.locks.map(
                (/** @type {any} */ lock) => html`<div key=${lock.name}><code>${lock.name}</code> ${lock.mode}</div>`,
              )
            : "none"}
        </dd>
        <dt>Nodes asked</dt>
        <dd>${plan.asked.join(", ") || "none"}</dd>
      </dl>
    </article>
  `;
}

/** @param {{ jobs: { order: Order, id?: number, problem?: string }[] }} properties */
function Submitted({ jobs }) {
  return html`
    <ul class="jobs">
      ${jobs.map(({ order, id, problem }) => {
        const job = id === undefined ? undefined : tables.job.rows.value.get(String(id));
        return html`
          <li key=${order.path}>
            ${id === undefined ? null : html`<${JobLink} id=${id} />`}
            <span class="summary">${order.label}</span>
            ${problem ? html`<span class="problem">${problem}</span>` : html`<${Status} status=${job?.["status"] ?? "queued"} />`}
          </li>
        `;
      })}
    </ul>
    <footer><button class="primary" onClick=${closeDialog}>Close</button></footer>
  `;
}
