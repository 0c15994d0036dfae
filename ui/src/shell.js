// SPDX-License-Identifier: BSD-2-Clause
/** What is around every page: navigation, the state of the connection, the user. */
import { useEffect } from "preact/hooks";
import { html } from "./html.js";
import { Dialogs } from "./parts/dialog.js";
import { Notices } from "./parts/notices.js";
import { pageOf, PAGES } from "./pages.js";
import { href, Link, navigate, path } from "./router.js";
import { logout, user } from "./session.js";
import { cluster, stream, tables } from "./store.js";
import { THEMES, theme } from "./theme.js";

const ACTIVE = ["queued", "waiting", "running", "canceling"];

function Connection() {
  const state = stream.value?.connection.value ?? "connecting";
  const title = { live: "Live", connecting: "Connecting …", closed: "Closed" }[state];
  return html`<span class="connection" data-state=${state} role="status">${title}</span>`;
}

function Navigation() {
  const current = path.value[0] ?? "";
  const active = [...tables.job.rows.value.values()].filter((job) => ACTIVE.includes(job["status"]));
  return html`
    <nav aria-label="Pages">
      ${PAGES.filter(({ isShown }) => isShown?.() ?? true).map(
        ({ name, title }) => html`
          <${Link} key=${name} to=${name ? href(name) : href()} aria-current=${current === name ? "page" : undefined}>
            ${title}
            ${name === "jobs" && active.length ? html`<span class="count" aria-label="under way">${active.length}</span>` : null}
          <//>
        `,
      )}
    </nav>
  `;
}

/** Keys: "g" and a letter opens a page, "/" goes to the filter. */
function useKeys() {
  useEffect(() => {
    let prefix = 0;
    /** @param {KeyboardEvent} event */
    function press(event) {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest("input, textarea, select, dialog, .terminal, .screen")) return;
      if (event.key === "/") {
        const filter = /** @type {HTMLElement | null} */ (document.querySelector("[data-filter]"));
        if (filter) {
          event.preventDefault();
          filter.focus();
        }
      } else if (event.key === "g") {
        prefix = event.timeStamp;
      } else if (prefix && event.timeStamp - prefix < 1500) {
        prefix = 0;
        const page = PAGES.find(({ key }) => key === event.key);
        if (page) navigate(page.name ? href(page.name) : href());
      }
    }
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

export function Shell() {
  useKeys();
  useEffect(() => tables.job.use(), []);
  const { Page, title, properties } = pageOf(path.value);
  const name = cluster.value?.["name"] ?? "";
  useEffect(() => {
    document.title = [title, name, "Ganeti"].filter(Boolean).join(" · ");
  }, [title, name]);
  return html`
    <a class="skip" href="#content">Skip to content</a>
    <header class="bar">
      <${Link} to=${href()} class="brand">${name || "Ganeti"}<//>
      <${Navigation} />
      <div class="tools">
        <${Connection} />
        <select
          aria-label="Colors"
          value=${theme.value}
          onChange=${(/** @type {any} */ event) => {
            theme.value = event.currentTarget.value;
          }}
        >
          ${THEMES.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
        </select>
        <button onClick=${() => logout()} title=${`Log out ${user.value}`}>Log out</button>
      </div>
    </header>
    <main id="content" tabindex="-1"><${Page} key=${path.value.join("/")} ...${properties} /></main>
    <${Notices} />
    <${Dialogs} />
  `;
}
