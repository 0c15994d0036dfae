// SPDX-License-Identifier: BSD-2-Clause
/** The table of pages. */
import { useEffect, useState } from "preact/hooks";
import { html } from "./html.js";
import { mayNotify } from "./notifications.js";
import { Access } from "./pages/access.js";
import { History } from "./pages/history.js";
import { Instance } from "./pages/instance.js";
import { Job } from "./pages/job.js";
import { Exports, Groups, Instances, Jobs, Networks, Nodes, OsDefinitions } from "./pages/lists.js";
import { Network } from "./pages/network.js";
import { Node } from "./pages/node.js";
import { Notifications } from "./pages/notifications.js";
import { Overview } from "./pages/overview.js";

/**
 * Consoles come with large libraries, which are loaded when one is opened.
 *
 * @param {() => Promise<any>} load
 */
function lazily(load) {
  /** @param {Record<string, any>} properties */
  return function Lazy(properties) {
    const [Loaded, setLoaded] = useState(/** @type {any} */ (null));
    useEffect(() => {
      load().then((found) => setLoaded(() => found));
    }, []);
    return Loaded ? html`<${Loaded} ...${properties} />` : html`<p role="status">Loading …</p>`;
  };
}

const CONSOLES = {
  serial: lazily(async () => (await import("./consoles/serial.js")).Serial),
  screen: lazily(async () => (await import("./consoles/screen.js")).Screen),
};

/**
 * @typedef {object} Page
 * @property {string} name
 * @property {string} title
 * @property {string} key
 * @property {any} Page
 * @property {any} [Detail] shows one object
 * @property {Record<string, any>} [views] further pages of one object
 * @property {() => boolean} [isShown] whether it is among the links of this user
 */

/** @type {Page[]} */
export const PAGES = [
  { name: "", title: "Overview", key: "o", Page: Overview },
  { name: "instances", title: "Instances", key: "i", Page: Instances, Detail: Instance, views: CONSOLES },
  { name: "nodes", title: "Nodes", key: "n", Page: Nodes, Detail: Node },
  { name: "groups", title: "Groups", key: "r", Page: Groups },
  { name: "networks", title: "Networks", key: "w", Page: Networks, Detail: Network },
  { name: "os", title: "OS definitions", key: "s", Page: OsDefinitions },
  { name: "exports", title: "Exports", key: "e", Page: Exports },
  { name: "jobs", title: "Jobs", key: "j", Page: Jobs, Detail: Job },
  { name: "history", title: "History", key: "h", Page: History },
  { name: "access", title: "Access", key: "a", Page: Access },
  { name: "notifications", title: "Notifications", key: "t", Page: Notifications, isShown: mayNotify },
];

const Missing = () => html`<h1>No such page</h1><p>Choose one above.</p>`;

/**
 * Return what shows an address.
 *
 * @param {string[]} path
 * @returns {{ Page: any, title: string, properties: Record<string, string> }}
 */
export function pageOf(path) {
  const [name = "", object, view] = path;
  const found = PAGES.find((each) => each.name === name);
  if (!found || path.length > 3) return { Page: Missing, title: "No such page", properties: {} };
  if (object === undefined) return { Page: found.Page, title: found.title, properties: {} };
  const Shown = view === undefined ? found.Detail : found.views?.[view];
  if (!Shown) return { Page: Missing, title: "No such page", properties: {} };
  return { Page: Shown, title: object, properties: { name: object } };
}
