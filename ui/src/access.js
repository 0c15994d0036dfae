// SPDX-License-Identifier: BSD-2-Clause
/** Users, roles, tokens and sessions: what is known of them, and requests that change them. */
import { signal } from "@preact/signals";
import { get, segment, send } from "./api.js";
import { words } from "./format.js";
import { onEvent } from "./store.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./actions.js").Order} Order */
/** @typedef {"users" | "roles" | "tokens" | "sessions" | "openid"} What */

const DELAY = 250;

/** How often it is looked whether a token is there whose job was submitted. */
const MAX_LOOKS = 40;

export const ROLES = ["viewer", "operator", "admin"];

/** @param {What} what @param {string} [id] */
const path = (what, id) => `/2/access/${what}${id === undefined ? "" : `/${segment(id)}`}`;

/** What the server has told, which is of oneself only without the role admin. */
export const access = signal(/** @type {Record<What, Row[]> | null} */ (null));

/** Read all again. */
export async function refreshAccess() {
  const read = (/** @type {What} */ what) => get(path(what));
  const [users, roles, tokens, sessions, openid] = await Promise.all([
    ...[read("users"), read("roles"), read("tokens"), read("sessions"), read("openid")],
  ]);
  access.value = { users, roles, tokens, sessions, openid };
}

/**
 * Keep what is known up to date; returns what ends that.
 *
 * @param {(error: unknown) => void} failed
 * @returns {() => void}
 */
export function followAccess(failed) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const read = () => {
    timer = undefined;
    refreshAccess().catch(failed);
  };
  const close = onEvent((event) => {
    if (event["kind"] === "access") timer ??= setTimeout(read, DELAY);
  });
  read();
  return () => {
    close();
    clearTimeout(timer);
    access.value = null;
  };
}

/** @param {Record<string, string>} values */
const scope = ({ tags = "", groups = "", owners = "" }) => ({
  tags: words(tags),
  groups: words(groups),
  owners: words(owners),
});

/** @param {Record<string, string>} values */
export const addUser = ({ name = "", password = "", note = "" }) =>
  send("POST", path("users"), { user_name: name, password: password || null, note });

/** @param {string} name @param {Record<string, unknown>} changes */
export const modifyUser = (name, changes) => send("PUT", path("users", name), changes);

/**
 * Add a token, and wait until it works.
 *
 * @param {Record<string, string>} values
 * @returns {Promise<{ token: string, job: number, works: boolean }>}
 */
export async function addToken(values) {
  const { user = "", role = "viewer", days = "90", note = "" } = values;
  const body = { user_name: user || null, role, lifetime: Number(days) * 86400, note, ...scope(values) };
  const added = await send("POST", path("tokens"), body);
  let works = false;
  for (let look = 0; look < MAX_LOOKS && !works; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, DELAY));
    // Not by its job, which who has a limited role does not see.
    works = (await get(path("tokens"))).some((/** @type {Row} */ token) => token["id"] === added.id);
  }
  return { token: added.token, job: added.job_id, works };
}

/** @param {string} id */
export const endSession = (id) => send("DELETE", path("sessions", id));

/** @param {Record<string, string>} values @returns {Order} */
export const grantOrder = (values) => ({
  label: `${values["subject"]}: ${values["role"]}`,
  method: "POST",
  path: path("roles"),
  body: { subject: values["subject"], role: values["role"], ...scope(values) },
});

/** @param {"users" | "roles" | "tokens"} what @param {string} id @param {string} label @returns {Order} */
export const removeOrder = (what, id, label) => ({ label, method: "DELETE", path: path(what, id) });
