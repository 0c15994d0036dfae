// SPDX-License-Identifier: BSD-2-Clause
/** Who is sent events: webhooks and mail addresses, how far each has got, and what goes wrong. */
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api.js";
import { text, time } from "../format.js";
import { html } from "../html.js";
import {
  addNotification,
  changeOrder,
  followNotifications,
  mayNotify,
  modifyOrder,
  notifications,
  refreshNotifications,
  removeOrder,
  testNotification,
} from "../notifications.js";
import { closeDialog, isDialogOpen, openDialog } from "../parts/dialog.js";
import { FormDialog } from "../parts/form_dialog.js";
import { notify } from "../parts/notices.js";
import { PlainTable } from "../parts/plain_table.js";
import { PlanDialog, Plans } from "../parts/plan_dialog.js";
import { Secret } from "../parts/secret.js";
import { Status } from "../parts/status.js";
import { JobLink } from "../router.js";
import { user } from "../session.js";

/** @typedef {import("../api.js").Row} Row */
/** @typedef {import("../parts/form_dialog.js").FormField} FormField */

const COLUMNS = ["Name", "Status", "Not delivered", "Events", "Receiver", "Added", "Comment", "Actions"];

/** @param {Row | null} row whose values the fields have @returns {FormField[]} */
function fieldsOf(row) {
  /** @param {string} name */
  const joined = (name) => (row?.[name] ?? []).join(" ");
  return [
    { name: "url", label: "Receiver: the URL of a webhook, or mailto:ADDRESS,…", value: row?.["url"] ?? "" },
    { name: "kinds", label: "Only events of these kinds, such as instance job", optional: true, value: joined("kinds") },
    { name: "names", label: "Only events about these objects", optional: true, value: joined("names") },
    { name: "tags", label: "Only events about objects with one of these tags", optional: true, value: joined("tags") },
    {
      name: "secret",
      label: row ? "New secret, for a webhook; empty to keep it" : "Secret, for a webhook; empty to generate one",
      type: "password",
      autocomplete: "new-password",
      optional: true,
    },
    { name: "note", label: "Comment", optional: true, value: row?.["comment"] ?? "" },
  ];
}

export function Notifications() {
  const [problem, setProblem] = useState("");
  const may = mayNotify();
  useEffect(
    () =>
      may
        ? followNotifications((error) => {
            if (error !== null && !(error instanceof ApiError)) throw error;
            setProblem(error?.message ?? "");
          })
        : undefined,
    [user.value, may],
  );
  const open = isDialogOpen.value;
  useEffect(() => {
    if (!open && notifications.value) refreshNotifications().catch(() => {});
  }, [open]);
  if (!may) {
    return html`
      <h1>Notifications</h1>
      <p>Notifications are for administrators of the whole cluster. Ask one of them for the role admin.</p>
    `;
  }
  const rows = notifications.value;
  return html`
    <h1>Notifications</h1>
    <p class="muted">Events of the cluster are sent to webhooks, and by mail, in their order and without gaps.</p>
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    ${rows
      ? html`<${PlainTable}
          title="Receivers"
          tools=${html`<button onClick=${add}>New notification</button>`}
          columns=${COLUMNS}
          rows=${rows.map((row) => ({ key: row["name"], cells: cellsOf(row) }))}
        />`
      : html`<p role="status">Loading …</p>`}
  `;
}

/** @param {Row} row */
const cellsOf = (row) => [
  row["name"],
  html`<${Health} row=${row} />`,
  row["lag"],
  selected(row),
  html`<code>${row["url"]}</code>`,
  time(row["created"]),
  row["comment"],
  html`<${Actions} row=${row} />`,
];

/** @param {{ row: Row }} properties */
function Health({ row }) {
  if (!row["enabled"]) return html`<${Status} status="offline" label="disabled" />`;
  if (row["failing_since"] === null) return html`<${Status} status="success" label="ok" />`;
  return html`
    <${Status} status="error" label="failing" />
    <div class="problem">since ${time(row["failing_since"])}: ${row["error"]}</div>
  `;
}

/** @param {Row} row */
function selected(row) {
  const parts = ["kinds", "names", "tags"].flatMap((name) =>
    row[name].length ? [`${name.slice(0, -1)}: ${text(row[name])}`] : [],
  );
  return parts.join("; ") || "all";
}

function add() {
  openDialog(
    "New notification",
    html`<${FormDialog}
      title="Add notification"
      fields=${[{ name: "name", label: "Name" }, ...fieldsOf(null)]}
      onSubmit=${async (/** @type {any} */ values) => {
        const { job, secret, done } = await addNotification(values);
        if (secret === null) {
          closeDialog();
          if (!done) notify(`Job ${job} has not added notification ${values.name} yet.`, "busy");
          return;
        }
        openDialog(
          "New notification",
          html`<${Secret}
            label="Secret"
            warning="The secret is shown only now. The receiver verifies by it who has sent an event."
            value=${secret}
          >
            ${done ? null : html`<p class="problem" role="alert">Job <${JobLink} id=${job} /> has not added it yet; see there why.</p>`}
          <//>`,
        );
      }}
    />`,
  );
}

/** @param {{ row: Row }} properties */
function Actions({ row }) {
  const name = row["name"];
  const [busy, setBusy] = useState(false);
  async function test() {
    setBusy(true);
    try {
      await testNotification(name);
      notify(`The receiver of notification ${name} has accepted a test event.`, "good");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      notify(`${name}: ${error.message}`, "bad");
    }
    setBusy(false);
    refreshNotifications().catch(() => {});
  }
  const change = {
    title: "Change",
    inputs: fieldsOf(row),
    order: (/** @type {string} */ _, /** @type {Record<string, string>} */ values) => modifyOrder(name, values),
  };
  /** @param {string} title @param {import("../actions.js").Order} order @param {boolean} [danger] */
  const plan = (title, order, danger = false) =>
    openDialog(`${title}: ${name}`, html`<${Plans} orders=${[order]} title=${title} danger=${danger} />`);
  const verb = row["enabled"] ? "Disable" : "Enable";
  return html`
    <div class="row-actions">
      <button disabled=${busy} onClick=${test}>Test</button>
      <button onClick=${() => openDialog(`Change: ${name}`, html`<${PlanDialog} action=${change} objects=${[name]} />`)}>Change</button>
      <button onClick=${() => plan(verb, changeOrder(name, { enabled: !row["enabled"] }))}>${verb}</button>
      ${row["lag"]
        ? html`<button class="danger" onClick=${() => plan("Discard", changeOrder(name, { skip_pending: true }), true)}>Discard</button>`
        : null}
      <button class="danger" onClick=${() => plan("Remove", removeOrder(name), true)}>Remove</button>
    </div>
  `;
}
