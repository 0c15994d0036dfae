// SPDX-License-Identifier: BSD-2-Clause
/** Notifications: what is known of them, and requests that change them. For administrators. */
import { signal } from "@preact/signals";
import { ApiError, get, segment, send } from "./api.js";
import { failureOf, words } from "./format.js";
import { rights } from "./session.js";
import { onEvent } from "./store.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./actions.js").Order} Order */

const DELAY = 250;

/** How often the progress of deliveries is read, which makes no events. */
const PERIOD = 15000;

/** How often it is looked whether a job has ended. */
const MAX_LOOKS = 40;

/** @param {string} [name] @param {string} [verb] */
const path = (name, verb = "") => `/2/notifications${name === undefined ? "" : `/${segment(name)}`}${verb && `/${verb}`}`;

/** Whether the user may see and change notifications: an administrator without limits. */
export const mayNotify = () => rights.value.role === "admin" && !rights.value.limited;

/** All notifications, with their progress and without secrets; null before they are known. */
export const notifications = signal(/** @type {Row[] | null} */ (null));

/** Read all again. */
export async function refreshNotifications() {
  notifications.value = await get(path());
}

/**
 * Keep what is known up to date; returns what ends that.
 *
 * @param {(error: unknown) => void} finished called after each reading, with null or what went wrong
 * @returns {() => void}
 */
export function followNotifications(finished) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const read = () => {
    timer = undefined;
    refreshNotifications().then(() => finished(null), finished);
  };
  const close = onEvent((event) => {
    if (event["kind"] === "notification") timer ??= setTimeout(read, DELAY);
  });
  const period = setInterval(() => document.visibilityState === "visible" && read(), PERIOD);
  read();
  return () => {
    close();
    clearTimeout(timer);
    clearInterval(period);
    notifications.value = null;
  };
}

/**
 * What selects events, in the body of a request.
 *
 * @param {Record<string, string>} values of a form
 */
export const selection = ({ kinds = "", names = "", tags = "" }) => ({
  kinds: words(kinds),
  names: words(names),
  tags: words(tags),
});

/**
 * Add a notification, and wait until its job has ended.
 *
 * @param {Record<string, string>} values of a form
 * @returns {Promise<{ job: number, secret: string | null, done: boolean }>} the secret that was generated,
 *   which is not shown again; whether the job has ended within some seconds
 */
export async function addNotification({ name, url, secret, note = "", ...selected }) {
  const body = { name, url, secret: secret || null, note, ...selection(selected) };
  const added = await send("POST", path(), body);
  let done = false;
  for (let look = 0; look < MAX_LOOKS && !done; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, DELAY));
    const { status, opresult } = await get(`/2/jobs/${added.job_id}`);
    if (status === "error" || status === "canceled") throw new ApiError(0, failureOf(opresult[0]));
    done = status === "success";
  }
  return { job: added.job_id, secret: added.secret, done };
}

/**
 * Change what a form has; an empty secret stays as it is.
 *
 * @param {string} name
 * @param {Record<string, string>} values of a form
 * @returns {Order}
 */
export const modifyOrder = (name, { url, secret, note = "", ...selected }) => ({
  label: name,
  method: "PUT",
  path: path(name),
  body: { url, note, ...selection(selected), ...(secret ? { secret } : {}) },
});

/** @param {string} name @param {{ enabled?: boolean, skip_pending?: boolean }} changes @returns {Order} */
export const changeOrder = (name, changes) => ({ label: name, method: "PUT", path: path(name), body: changes });

/** @param {string} name @returns {Order} */
export const removeOrder = (name) => ({ label: name, method: "DELETE", path: path(name) });

/** Send a test event, and wait until the receiver has accepted it. */
export const testNotification = (/** @type {string} */ name) => send("POST", path(name, "test"));
