// SPDX-License-Identifier: BSD-2-Clause
/** One network, with its map of addresses. */
import { useEffect } from "preact/hooks";
import { html } from "../html.js";
import { Facts } from "../parts/facts.js";
import { JobsOf } from "../parts/jobs_of.js";
import { tables } from "../store.js";

const RESERVED = "X";
const COLUMNS = 32;

/** @param {{ name: string }} properties */
export function Network({ name }) {
  useEffect(() => {
    tables.network.need(["external_reservations", "inst_list", "network6", "gateway6", "mac_prefix"]);
    tables.network.use();
  }, []);
  const network = tables.network.rows.value.get(name);
  if (!network) {
    const text = tables.network.loaded.value ? `There is no network ${name}.` : "Loading …";
    return html`<h1 dir="auto">${name}</h1><p role="status">${text}</p>`;
  }
  return html`
    <h1 dir="auto">${name}</h1>
    <${Facts}
      facts=${[
        ["Subnet", network["network"]],
        ["Gateway", network["gateway"]],
        ["IPv6 subnet", network["network6"]],
        ["IPv6 gateway", network["gateway6"]],
        ["MAC prefix", network["mac_prefix"]],
        ["Free addresses", network["free_count"]],
        ["Reserved for others", network["external_reservations"]],
        ["Instances", network["inst_list"]],
        ["Tags", network["tags"]],
      ]}
    />
    <section>
      <h2>Addresses</h2>
      <${AddressMap} map=${network["map"] ?? ""} subnet=${network["network"]} />
    </section>
    <${JobsOf} name=${name} />
  `;
}

/** @param {{ map: string, subnet: string }} properties */
function AddressMap({ map, subnet }) {
  const base = (subnet.split("/")[0] ?? "").split(".").map(Number);
  const first = base.reduce((number, part) => number * 256 + part, 0);
  /** @param {number} index */
  function address(index) {
    const number = first + index;
    return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join(".");
  }
  const rows = Math.ceil(map.length / COLUMNS);
  const free = map.length - map.replaceAll(".", "").length;
  return html`
    <svg class="addresses" viewBox=${`0 0 ${COLUMNS * 10} ${rows * 10}`} role="img" aria-label=${`${free} of ${map.length} addresses are free`}>
      ${[...map].map(
        (state, index) => html`
          <rect
            key=${index}
            data-state=${state === RESERVED ? "used" : "free"}
            x=${(index % COLUMNS) * 10 + 0.5}
            y=${Math.floor(index / COLUMNS) * 10 + 0.5}
            width="9"
            height="9"
          ><title>${address(index)}: ${state === RESERVED ? "in use or reserved" : "free"}</title></rect>
        `,
      )}
    </svg>
  `;
}
