// SPDX-License-Identifier: BSD-2-Clause
/** Short messages at the edge of the page, such as the end of a job. */
import { signal } from "@preact/signals";
import { html } from "../html.js";

const SHOWN = 8000;

/** @type {import("@preact/signals").Signal<{ id: number, content: any, tone: string }[]>} */
const notices = signal([]);
let last = 0;

/**
 * @param {any} content text or a template
 * @param {"good" | "bad" | "busy"} tone
 */
export function notify(content, tone = "good") {
  const id = ++last;
  notices.value = [...notices.value.slice(-4), { id, content, tone }];
  if (tone !== "bad") setTimeout(() => dismiss(id), SHOWN);
}

/** @param {number} id */
function dismiss(id) {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function Notices() {
  return html`
    <div class="notices" role="status" aria-live="polite">
      ${notices.value.map(
        ({ id, content, tone }) => html`
          <div key=${id} class="notice" data-tone=${tone}>
            <span>${content}</span>
            <button aria-label="Dismiss" onClick=${() => dismiss(id)}>✕</button>
          </div>
        `,
      )}
    </div>
  `;
}
