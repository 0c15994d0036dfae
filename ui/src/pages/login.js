// SPDX-License-Identifier: BSD-2-Clause
import { useEffect, useState } from "preact/hooks";
import { html } from "../html.js";
import { hasOpenId, login, loginByToken, notice, OPENID_LOGIN } from "../session.js";

/** The form that everybody sees first. */
export function Login() {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [openId, setOpenId] = useState(false);
  const [byToken, setByToken] = useState(false);
  useEffect(() => {
    hasOpenId().then(setOpenId);
  }, []);

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    setBusy(true);
    /** @param {string} name */
    const value = (name) => String(form.get(name));
    setProblem(await (byToken ? loginByToken(value("token")) : login(value("name"), value("password"))));
    setBusy(false);
  }

  return html`
    <main class="login">
      <h1>Ganeti</h1>
      <form onSubmit=${submit}>
        ${byToken
          ? html`<label key="token">Token <input name="token" type="password" autocomplete="off" required autofocus /></label>`
          : html`
              <label key="name">User <input name="name" autocomplete="username" autocapitalize="none" required autofocus /></label>
              <label key="password">
                Password <input name="password" type="password" autocomplete="current-password" required />
              </label>
            `}
        <p role="alert" class="problem">${problem || notice}</p>
        <button class="primary" disabled=${busy}>Log in</button>
      </form>
      <button
        onClick=${() => {
          setByToken(!byToken);
          setProblem("");
        }}
      >
        ${byToken ? "Use a password" : "Use a token"}
      </button>
      ${openId ? html`<a class="button" href=${OPENID_LOGIN}>Sign in with OpenID</a>` : null}
    </main>
  `;
}
