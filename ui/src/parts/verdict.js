// SPDX-License-Identifier: BSD-2-Clause
import { useEffect, useState } from "preact/hooks";
import { ApiError, send } from "../api.js";
import { html } from "../html.js";
import { tables } from "../store.js";

const DELAY = 400;

/**
 * Whether a new instance fits on each node, or why not, asked while one types.
 *
 * @param {{ order: import("../actions.js").Order }} properties
 */
export function Verdict({ order }) {
  const [verdicts, setVerdicts] = useState(/** @type {[string, string][] | null} */ (null));
  const nodes = [...tables.node.rows.value.values()].filter((node) => !node["offline"]).slice(0, 20);
  const text = JSON.stringify(order.body);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      const found = await Promise.all(
        nodes.map(async (node) => {
          const { iallocator: _, snode: __, ...body } = order.body;
          const wanted = { ...body, pnode: node["name"] };
          if (body.disk_template === "drbd") wanted.snode = nodes.find((other) => other !== node)?.["name"];
          try {
            await send("POST", `${order.path}?plan=1`, wanted, abort.signal);
            return /** @type {[string, string]} */ ([node["name"], ""]);
          } catch (error) {
            if (abort.signal.aborted) return null;
            if (!(error instanceof ApiError)) throw error;
            return /** @type {[string, string]} */ ([node["name"], error.message]);
          }
        }),
      );
      if (!abort.signal.aborted) setVerdicts(found.filter((each) => each !== null));
    }, DELAY);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, nodes.length]);
  if (!verdicts) return html`<p role="status" class="muted">Asking whether it fits …</p>`;
  return html`
    <ul class="verdicts" aria-label="Nodes" aria-live="polite" tabindex="0">
      ${verdicts.map(
        ([name, problem]) => html`
          <li key=${name} data-tone=${problem ? "bad" : "good"}><strong>${name}</strong> ${problem || "fits"}</li>
        `,
      )}
    </ul>
  `;
}
