// SPDX-License-Identifier: BSD-2-Clause
/** The web console: starts the state when somebody logs in, and shows the page of the address. */
import { effect, untracked } from "@preact/signals";
import { render } from "preact";
import { html } from "./html.js";
import { Login } from "./pages/login.js";
import { followSession, known, user } from "./session.js";
import { Shell } from "./shell.js";
import { start, stop } from "./store.js";

effect(() => {
  const name = user.value;
  untracked(() => {
    stop(); // also when another one has logged in, in another tab
    if (name) start();
  });
});

function Console() {
  if (!known.value) return html`<main class="login"><p role="status">Loading …</p></main>`;
  return user.value ? html`<${Shell} />` : html`<${Login} />`;
}

followSession();

render(html`<${Console} />`, document.body);
