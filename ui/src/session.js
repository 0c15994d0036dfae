// SPDX-License-Identifier: BSD-2-Clause
/**
 * Who is logged in. The only module that knows how requests are authenticated.
 *
 * The browser keeps a session in a cookie, which no script can read: the password is forgotten as
 * soon as it was sent, and a reload asks for nothing. Where the browser keeps no such cookie, as
 * without TLS, the credentials stay in the memory of the page.
 */
import { batch, signal } from "@preact/signals";

/** @typedef {{ role: string | null, limited: boolean }} Rights */

const SESSION = "/2/access/session";
const RETRY_DELAY = 2000;

/** Where a browser signs in by the OpenID provider of the cluster. */
export const OPENID_LOGIN = "/2/access/openid/login";

/** The name of the user; empty if nobody is logged in. */
export const user = signal("");

/** What the user may do. */
export const rights = signal(/** @type {Rights} */ ({ role: null, limited: false }));

/** Why the login page is shown again. */
export const notice = signal("");

/** Whether it is known if there is a session. */
export const known = signal(false);

/** What changes in a session have in a header, so that no other site's page can make them. */
let csrf = "";

/** The credentials, where the browser keeps no session. */
let authorization = "";

/** @type {BroadcastChannel | null} */
let tabs = null;

/** Go on with the session that the browser has, also when another tab begins or ends one. */
export function followSession() {
  tabs = new BroadcastChannel("ganeti-session");
  tabs.onmessage = () => restore();
  restore();
}

/**
 * Send a request as the user who is logged in.
 *
 * @param {string} path
 * @param {RequestInit} [init]
 */
export async function request(path, init = {}) {
  const headers = new Headers(init.headers);
  if (authorization) headers.set("Authorization", authorization);
  if (csrf) headers.set("X-CSRF-Token", csrf);
  const response = await transmit(path, { ...init, headers });
  if (response.status === 401 && user.value) forget("The login is no longer valid.");
  return response;
}

/**
 * @param {string} path
 * @param {RequestInit} init
 */
function transmit(path, init) {
  const headers = new Headers(init.headers);
  // By which the server knows that the browser must not ask for a password in a dialog.
  headers.set("X-Requested-With", "XMLHttpRequest");
  return fetch(path, { ...init, headers, credentials: authorization ? "omit" : "same-origin", cache: "no-store" });
}

/** Find out whether there is a session. */
async function restore() {
  for (;;) {
    /** @type {Response | null} */
    const response = await transmit(SESSION, {}).catch(() => null);
    if (response?.ok) {
      enter(await response.json());
      return;
    }
    if (response?.status === 401) {
      forget("");
      return;
    }
    if (response?.status === 403) {
      // Signed in, and without any role.
      forget((await response.json().catch(() => ({}))).message ?? "This user may not use the cluster.");
      return;
    }
    // The master may be restarting: then it is not known whether there is a session.
    await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
  }
}

/** @param {{ user: string, csrf?: string } & Rights} found */
function enter(found) {
  csrf = found.csrf ?? "";
  batch(() => {
    notice.value = "";
    rights.value = { role: found.role, limited: found.limited };
    user.value = found.user;
    known.value = true;
  });
}

/**
 * Log in by a password.
 *
 * @param {string} name
 * @param {string} password
 * @returns {Promise<string>} why it was refused; empty if it was not
 */
export function login(name, password) {
  const bytes = new TextEncoder().encode(`${name}:${password}`);
  return begin(`Basic ${btoa(String.fromCharCode(...bytes))}`, "User name or password is wrong.");
}

/**
 * Log in by a token, as its user, with no more than its role.
 *
 * @param {string} token
 * @returns {Promise<string>} why it was refused; empty if it was not
 */
export async function loginByToken(token) {
  const text = token.trim();
  // A header can have no other characters, and a token has none.
  if (!/^[!-~]+$/.test(text)) return "This is no token.";
  return begin(`Bearer ${text}`, "The token is wrong, or not valid any more.");
}

/**
 * Begin a session.
 *
 * @param {string} header
 * @param {string} refusal what is told if it is refused
 */
async function begin(header, refusal) {
  /** @type {Response} */
  let response;
  try {
    response = await transmit(SESSION, { method: "POST", headers: { Authorization: header } });
    if (response.ok) {
      const kept = await transmit(SESSION, {});
      if (!kept.ok) authorization = header;
      enter(kept.ok ? await kept.json() : { ...(await response.json()), csrf: "" });
      tabs?.postMessage("in");
      return "";
    }
  } catch {
    return "The server does not answer.";
  }
  const problem = await response.json().catch(() => ({}));
  return response.status === 401 ? refusal : problem.message || response.statusText;
}

/** Return whether one can sign in by an OpenID provider. */
export async function hasOpenId() {
  const response = await transmit("/2/access/sign-in", {}).catch(() => null);
  return response?.ok ? (await response.json()).openid === true : false;
}

/** End the session. */
export async function logout() {
  if (!authorization) await request(SESSION, { method: "DELETE" }).catch(() => null);
  forget("");
  tabs?.postMessage("out");
}

/** @param {string} why */
function forget(why) {
  authorization = csrf = "";
  batch(() => {
    notice.value = why;
    user.value = "";
    known.value = true;
  });
}
