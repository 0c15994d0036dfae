// SPDX-License-Identifier: BSD-2-Clause
/** Addresses: every page, with its filter and columns, has one that can be kept and sent. */
import { computed, signal } from "@preact/signals";
import { html } from "./html.js";

const ROOT = "/ui/";

const address = signal(location.pathname + location.search);

addEventListener("popstate", () => {
  address.value = location.pathname + location.search;
});

/** The decoded segments of the path below the root. */
export const path = computed(() => {
  const [pathname = ""] = address.value.split("?");
  return pathname.slice(ROOT.length).split("/").filter(Boolean).map(decode);
});

/** What follows the question mark. */
export const parameters = computed(() => new URLSearchParams(address.value.split("?")[1] ?? ""));

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Return the address of a page.
 *
 * @param {...string} segments
 */
export const href = (...segments) => ROOT + segments.map(encodeURIComponent).join("/");

/** @param {string} target */
export function navigate(target) {
  history.pushState(null, "", target);
  address.value = target;
  scrollTo(0, 0);
}

/**
 * Change what follows the question mark, without a new entry in the browser's history.
 *
 * @param {Record<string, string | null>} changes null removes a parameter
 */
export function setParameters(changes) {
  const next = new URLSearchParams(parameters.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const query = next.toString();
  const target = location.pathname + (query ? `?${query}` : "");
  history.replaceState(null, "", target);
  address.value = target;
}

/** @param {MouseEvent} event */
function follow(event) {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  navigate(/** @type {HTMLAnchorElement} */ (event.currentTarget).getAttribute("href") ?? ROOT);
}

/**
 * A link to another page of the console.
 *
 * @param {{ to: string, children?: import("./html.js").Children, [attribute: string]: any }} properties
 */
export function Link({ to, children, ...attributes }) {
  return html`<a href=${to} onClick=${follow} ...${attributes}>${children}</a>`;
}

/** @param {{ name: string }} properties */
export const InstanceLink = ({ name }) => html`<${Link} to=${href("instances", name)}>${name}<//>`;

/** @param {{ name: string }} properties */
export const NodeLink = ({ name }) => html`<${Link} to=${href("nodes", name)}>${name}<//>`;

/** @param {{ id: number | string }} properties */
export const JobLink = ({ id }) => html`<${Link} to=${href("jobs", String(id))}>${id}<//>`;
