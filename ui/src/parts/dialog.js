// SPDX-License-Identifier: BSD-2-Clause
/** Dialogs: one at a time, modal, closed by Escape. */
import { computed, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

/** @type {import("@preact/signals").Signal<{ title: string, body: any } | null>} */
const current = signal(null);

export const isDialogOpen = computed(() => current.value !== null);

/**
 * @param {string} title
 * @param {any} body a template
 */
export function openDialog(title, body) {
  current.value = { title, body };
}

export function closeDialog() {
  current.value = null;
}

export function Dialogs() {
  return current.value ? html`<${Dialog} ...${current.value} />` : null;
}

/** @param {{ title: string, body: any }} properties */
function Dialog({ title, body }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => element.current?.showModal(), []);
  return html`
    <dialog ref=${element} aria-labelledby="dialog-title" onClose=${closeDialog}>
      <header>
        <h2 id="dialog-title">${title}</h2>
        <button onClick=${closeDialog} aria-label="Close">✕</button>
      </header>
      ${body}
    </dialog>
  `;
}
