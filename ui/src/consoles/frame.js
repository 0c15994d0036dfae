// SPDX-License-Identifier: BSD-2-Clause
/** What is around a console: its state, who is there, keys, paste, full screen, power. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ChangeCd, InstanceActions } from "../actions.js";
import { html } from "../html.js";
import { LAYOUTS } from "./layouts.js";
import { closeDialog, openDialog } from "../parts/dialog.js";
import { Status } from "../parts/status.js";
import { href, Link } from "../router.js";
import { tables } from "../store.js";
import { ALONE } from "./viewers.js";

/** @typedef {{ label: string, send: () => void }} Key */

const POWER = ["migrate", "failover", "add-tag", "remove-tag", "remove"];

/**
 * @param {object} properties
 * @param {string} properties.name
 * @param {string} properties.title
 * @param {"connecting" | "connected" | "closed"} properties.state
 * @param {string} properties.problem why it is closed
 * @param {import("./viewers.js").Viewers} [properties.viewers]
 * @param {Key[]} properties.keys
 * @param {(text: string, layout: string) => void} properties.onPaste types a text
 * @param {boolean} [properties.layouts] whether the layout of the guest's keyboard matters for that
 * @param {() => void} properties.onRetry
 * @param {(watching: boolean) => void} properties.onWatch
 * @param {() => void} properties.onTakeOver
 * @param {any} [properties.tools] further buttons
 * @param {any} properties.children the console itself
 */
export function Frame({ name, title, state, problem, viewers = ALONE, keys, onPaste, layouts = false, onRetry, onWatch, onTakeOver, tools, children }) {
  const element = useRef(/** @type {HTMLDivElement | null} */ (null));
  const words = { connecting: "Connecting …", connected: "Connected", closed: "Closed" };
  useEffect(() => tables.instance.use(), []);
  const { others, watching, controller } = viewers;
  const running = tables.instance.rows.value.get(name)?.["oper_ram"] != null;
  return html`
    <div class="title">
      <h1 dir="auto">${title}: <${Link} to=${href("instances", name)}>${name}<//></h1>
      <${Status}
        status=${state === "connected" ? "running" : state === "connecting" ? "waiting" : "offline"}
        label=${words[state]}
      />
      ${others.length ? html`<span role="status">Also here: ${others.join(", ")}</span>` : null}
      ${controller === null ? null : html`<span role="status">${controller} has taken over; you watch.</span>`}
    </div>
    ${problem
      ? html`<p class="problem" role="alert">${problem} <button onClick=${onRetry}>Connect again</button></p>`
      : null}
    <div class="controls" role="toolbar" aria-label="Console">
      <${KeyMenu} keys=${keys} disabled=${watching} />
      <button disabled=${watching} onClick=${() => openDialog("Paste as key presses", html`<${Paste} onPaste=${onPaste} layouts=${layouts} />`)}>Paste</button>
      <button onClick=${() => element.current?.requestFullscreen()}>Full screen</button>
      <label class="check">
        <input
          type="checkbox"
          checked=${watching}
          disabled=${state !== "connected" || controller !== null}
          onChange=${() => onWatch(!watching)}
        />${" "}
        Watch only
      </label>
      ${others.length ? html`<button onClick=${onTakeOver}>Take over</button>` : null}
      ${tools}
      <${ChangeCd} name=${name} />
      <${InstanceActions} names=${[name]} leave=${[...POWER, ...(running ? ["startup"] : ["shutdown", "reboot"])]} />
    </div>
    <div class="console-frame" ref=${element}>${children}</div>
  `;
}

/**
 * Keys that the browser or the computer would keep. Two steps, so that none is sent by accident.
 *
 * @param {{ keys: Key[], disabled: boolean }} properties
 */
function KeyMenu({ keys, disabled }) {
  const menu = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  /** @param {Key} key */
  function press(key) {
    key.send();
    if (menu.current) menu.current.open = false;
  }
  return html`
    <details class="menu keys" ref=${menu}>
      <summary>Keys</summary>
      <div class="panel">
        ${keys.map((key) => html`<button key=${key.label} disabled=${disabled} onClick=${() => press(key)}>${key.label}</button>`)}
      </div>
    </details>
  `;
}

const LAYOUT = "ganeti-keyboard-layout";

/** @param {{ onPaste: (text: string, layout: string) => void, layouts: boolean }} properties */
function Paste({ onPaste, layouts }) {
  const [text, setText] = useState("");
  const [layout, setLayout] = useState(localStorage.getItem(LAYOUT) ?? "");
  return html`
    <form
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        closeDialog();
        localStorage.setItem(LAYOUT, layout);
        onPaste(text, layout);
      }}
    >
      <label>
        Text
        <textarea rows="8" value=${text} onInput=${(/** @type {any} */ event) => setText(event.currentTarget.value)} />
      </label>
      ${layouts
        ? html`<label>
            Keyboard layout of the guest
            <select value=${layout} onChange=${(/** @type {any} */ event) => setLayout(event.currentTarget.value)}>
              <option value="">not known: send characters</option>
              ${Object.entries(LAYOUTS).map(([name, { title }]) => html`<option key=${name} value=${name}>${title}</option>`)}
            </select>
          </label>`
        : null}
      <footer><button class="primary" disabled=${!text}>Type it</button></footer>
    </form>
  `;
}
