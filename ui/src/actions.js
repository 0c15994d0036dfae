// SPDX-License-Identifier: BSD-2-Clause
/** What can be done with objects: each action shows its plan first, and then its job. */
import { get, segment } from "./api.js";
import { CreateForm } from "./create.js";
import { html } from "./html.js";
import { openDialog } from "./parts/dialog.js";
import { PlanDialog } from "./parts/plan_dialog.js";

/**
 * A request that submits a job.
 *
 * @typedef {{ label: string, method: string, path: string, body?: any }} Order
 */

/**
 * @typedef {object} Action
 * @property {string} title
 * @property {(name: string, values: Record<string, string>) => Order} order
 * @property {Input[]} [inputs] what is asked for first
 * @property {boolean} [danger] whether something is lost for good
 */

/**
 * @typedef {object} Input
 * @property {string} name
 * @property {string} label
 * @property {string[]} [choices]
 * @property {string} [value]
 * @property {boolean} [optional]
 */

/** @type {(name: string, verb?: string) => string} */
const instance = (name, verb = "") => `/2/instances/${segment(name)}${verb && `/${verb}`}`;

/** @type {(name: string, verb?: string) => string} */
const node = (name, verb = "") => `/2/nodes/${segment(name)}${verb && `/${verb}`}`;

const ASK_GUEST = "ask the guest to open it";

/** @type {Record<string, any>} */
export const INSTANCE_ACTIONS = {
  startup: {
    title: "Start",
    order: (/** @type {string} */ name) => ({ label: name, method: "PUT", path: instance(name, "startup") }),
  },
  shutdown: {
    title: "Shut down",
    order: (/** @type {string} */ name) => ({ label: name, method: "PUT", path: instance(name, "shutdown") }),
  },
  reboot: {
    title: "Reboot",
    inputs: [{ name: "type", label: "Kind", choices: ["hard", "soft", "full"] }],
    order: (/** @type {string} */ name, /** @type {any} */ { type }) => ({
      label: name,
      method: "POST",
      path: `${instance(name, "reboot")}?type=${segment(type)}`,
    }),
  },
  migrate: {
    title: "Migrate",
    order: (/** @type {string} */ name) => ({ label: name, method: "PUT", path: instance(name, "migrate"), body: {} }),
  },
  cleanup: {
    title: "Clean up migration",
    order: (/** @type {string} */ name) => ({
      label: name,
      method: "PUT",
      path: instance(name, "migrate"),
      body: { cleanup: true },
    }),
  },
  failover: {
    title: "Fail over",
    order: (/** @type {string} */ name) => ({ label: name, method: "PUT", path: instance(name, "failover"), body: {} }),
  },
  "add-tag": {
    title: "Add tag",
    inputs: [{ name: "tag", label: "Tag" }],
    order: (/** @type {string} */ name, /** @type {any} */ { tag }) => ({
      label: name,
      method: "PUT",
      path: `${instance(name, "tags")}?tag=${segment(tag)}`,
    }),
  },
  "remove-tag": {
    title: "Remove tag",
    inputs: [{ name: "tag", label: "Tag" }],
    order: (/** @type {string} */ name, /** @type {any} */ { tag }) => ({
      label: name,
      method: "DELETE",
      path: `${instance(name, "tags")}?tag=${segment(tag)}`,
    }),
  },
  cd: {
    title: "Change CD",
    inputs: [
      { name: "image", label: "Image: a file on the nodes of the instance; empty for none", optional: true },
      { name: "locked", label: "If the guest has locked the drive", choices: [ASK_GUEST, "change it anyway"] },
    ],
    order: (/** @type {string} */ name, /** @type {any} */ { image, locked }) => ({
      label: name,
      method: "PUT",
      path: instance(name, "modify"),
      body: { hvparams: { cdrom_image_path: image }, force: locked !== ASK_GUEST },
    }),
  },
  remove: {
    title: "Remove",
    danger: true,
    order: (/** @type {string} */ name) => ({ label: name, method: "DELETE", path: instance(name) }),
  },
};

/** @type {Record<string, any>} */
export const NODE_ACTIONS = {
  evacuate: {
    title: "Evacuate",
    inputs: [{ name: "mode", label: "Instances", choices: ["primary-only", "secondary-only", "all"] }],
    order: (/** @type {string} */ name, /** @type {any} */ { mode }) => ({
      label: name,
      method: "POST",
      path: node(name, "evacuate"),
      body: { mode },
    }),
  },
  "migrate-node": {
    title: "Migrate instances away",
    order: (/** @type {string} */ name) => ({ label: name, method: "POST", path: node(name, "migrate"), body: {} }),
  },
  drain: {
    title: "Drain",
    order: (/** @type {string} */ name) => ({
      label: name,
      method: "POST",
      path: node(name, "modify"),
      body: { drained: true },
    }),
  },
  undrain: {
    title: "End draining",
    order: (/** @type {string} */ name) => ({
      label: name,
      method: "POST",
      path: node(name, "modify"),
      body: { drained: false },
    }),
  },
  "tag-node": {
    title: "Add tag",
    inputs: [{ name: "tag", label: "Tag" }],
    order: (/** @type {string} */ name, /** @type {any} */ { tag }) => ({
      label: name,
      method: "PUT",
      path: `${node(name, "tags")}?tag=${segment(tag)}`,
    }),
  },
};

/**
 * Show what an action would do with objects, and do it if that is confirmed.
 *
 * @param {string} name
 * @param {string[]} objects
 */
export function openAction(name, objects) {
  const action = INSTANCE_ACTIONS[name] ?? NODE_ACTIONS[name];
  const subject = objects.length === 1 ? objects[0] : `${objects.length} objects`;
  openDialog(`${action.title}: ${subject}`, html`<${PlanDialog} action=${action} objects=${objects} />`);
}

/** @param {{ names: string[], table: Record<string, any>, leave?: string[] }} properties */
function Buttons({ names, table, leave = [] }) {
  return Object.entries(table)
    .filter(([name]) => !leave.includes(name))
    .map(
      ([name, action]) => html`
        <button key=${name} class=${action.danger ? "danger" : ""} onClick=${() => openAction(name, names)}>
          ${action.title}
        </button>
      `,
    );
}

/** Actions that only the pages where they make sense have a button for. */
const SPECIAL = ["cleanup", "cd"];

/** @param {{ names: string[], leave?: string[] }} properties */
export const InstanceActions = ({ names, leave }) =>
  html`<${Buttons} names=${names} table=${INSTANCE_ACTIONS} leave=${[...SPECIAL, ...(leave ?? [])]} />`;

/**
 * A button for the CD of an instance, whose drive shows the image at once if the guest has the drive.
 *
 * @param {{ name: string }} properties
 */
export const ChangeCd = ({ name }) =>
  html`<button onClick=${() => openAction("cd", [name])}>${INSTANCE_ACTIONS["cd"].title}</button>`;

/** @param {{ names: string[], leave?: string[] }} properties */
export const NodeActions = ({ names, leave }) =>
  html`<${Buttons} names=${names} table=${NODE_ACTIONS} leave=${leave ?? []} />`;

export function CreateInstance() {
  const open = async () => {
    const description = await get("/2/openapi");
    openDialog("New instance", html`<${CreateForm} description=${description} />`);
  };
  return html`<button class="primary" onClick=${open}>New instance</button>`;
}
