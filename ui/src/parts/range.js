// SPDX-License-Identifier: BSD-2-Clause
/** Over how long plots are: the hours that daemons keep, or longer if the server has a Prometheus. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ApiError, get } from "../api.js";
import { html } from "../html.js";

/** Whether the server has a Prometheus to ask; null if that is not known yet. */
const hasHistory = signal(/** @type {boolean | null} */ (null));

/** Hours, and their names; 0 are the last hours, as the daemons keep them. */
const RANGES = /** @type {const} */ ([
  [0, "last hours"],
  [24, "last day"],
  [7 * 24, "last week"],
  [30 * 24, "last 30 days"],
  [365 * 24, "last year"],
]);

/** Add the wanted hours to a path. @param {string} path @param {number} hours */
export const during = (path, hours) => (hours ? `${path}?hours=${hours}` : path);

/** How long that is, in words. @param {number} hours */
export const rangeName = (hours) => RANGES.find(([each]) => each === hours)?.[1] ?? `last ${hours} hours`;

async function find() {
  try {
    hasHistory.value = (await get("/2/features")).includes("usage-history");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // Asked again with the next page that has plots.
  }
}

/** @param {{ hours: number, onChange: (hours: number) => void }} properties */
export function Range({ hours, onChange }) {
  useEffect(() => {
    if (hasHistory.value === null) find();
  }, []);
  if (!hasHistory.value) return null;
  return html`
    <label>
      Plot the${" "}
      <select value=${hours} onChange=${(/** @type {any} */ event) => onChange(Number(event.currentTarget.value))}>
        ${RANGES.map(([each, name]) => html`<option key=${each} value=${each}>${name}</option>`)}
      </select>
    </label>
  `;
}
