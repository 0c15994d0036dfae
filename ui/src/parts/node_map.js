// SPDX-License-Identifier: BSD-2-Clause
/** A map of nodes: memory and disk as areas, with the instances in them. */
import { size, tone } from "../format.js";
import { html } from "../html.js";
import { nodeStatus } from "../pages/lists.js";
import { href, Link, navigate } from "../router.js";
import { Status } from "./status.js";

/** @typedef {import("../api.js").Row} Row */

const WIDTH = 1000;

/** Areas that are drawn one by one; smaller ones share the last. */
const MAX_AREAS = 60;

/** @param {{ nodes: Row[], instances: Row[] }} properties */
export function NodeMap({ nodes, instances }) {
  /** @type {Map<string, Row[]>} */
  const placed = new Map();
  for (const instance of instances) {
    const on = placed.get(instance["pnode"]) ?? [];
    placed.set(instance["pnode"], on);
    on.push(instance);
  }
  return html`
    <div class="map">
      ${nodes.map((node) => {
        const here = placed.get(node["name"]) ?? [];
        return html`
          <article key=${node["name"]} class="node" aria-label=${`Node ${node["name"]}`}>
            <header>
              <${Link} to=${href("nodes", node["name"])}>${node["name"]}<//>
              <${Status} status=${nodeStatus(node)} />
            </header>
            <${Areas}
              label="Memory"
              total=${node["mtotal"]}
              free=${node["mfree"]}
              areas=${here.map((each) => area(each, each["oper_ram"] ?? 0))}
            />
            <${Areas}
              label="Disk"
              total=${node["dtotal"]}
              free=${node["dfree"]}
              areas=${here.map((each) => area(each, each["disk_usage"] ?? 0))}
            />
            <footer class="muted">${here.length === 1 ? "1 instance" : `${here.length} instances`}</footer>
          </article>
        `;
      })}
    </div>
  `;
}

/** @param {Row} instance @param {number} amount */
const area = (instance, amount) => ({ name: instance["name"], status: instance["status"], amount });

/**
 * @param {object} properties
 * @param {string} properties.label
 * @param {number | null} properties.total
 * @param {number | null} properties.free
 * @param {{ name: string, status: string, amount: number }[]} properties.areas
 */
function Areas({ label, total, free, areas }) {
  if (!total) return html`<div class="areas"><span class="muted">${label}: not known</span></div>`;
  const used = free === null ? 0 : total - free;
  const largest = areas.filter((each) => each.amount > 0).sort((a, b) => b.amount - a.amount);
  const shown = largest.slice(0, MAX_AREAS);
  const mine = largest.reduce((sum, each) => sum + each.amount, 0);
  const scale = WIDTH / Math.max(total, mine);
  let x = 0;
  const drawn = shown.map((each) => {
    const width = Math.max(4, each.amount * scale);
    const found = { ...each, x, width };
    x += width;
    return found;
  });
  const rest = Math.max(0, Math.max(mine, used) * scale - x);
  const summary = `${label}: ${size(used)} of ${size(total)} used`;
  return html`
    <figure class="areas">
      <svg viewBox="0 0 ${WIDTH} 40" preserveAspectRatio="none" role="img" aria-label=${summary}>
        <rect class="free" width=${WIDTH} height="40" />
        ${drawn.map(
          (each) => html`
            <rect
              key=${each.name}
              class="area"
              data-tone=${tone(each.status)}
              x=${each.x}
              width=${Math.max(2, each.width - 2)}
              height="40"
              onClick=${() => navigate(href("instances", each.name))}
            >
              <title>${each.name}: ${size(each.amount)}</title>
            </rect>
          `,
        )}
        <rect class="other" x=${x} width=${rest} height="40"><title>Others, and the node itself</title></rect>
      </svg>
      <figcaption>${summary}</figcaption>
    </figure>
  `;
}
