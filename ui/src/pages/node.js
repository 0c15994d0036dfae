// SPDX-License-Identifier: BSD-2-Clause
/** One node: state, memory and disk, its instances, its jobs. */
import { useEffect } from "preact/hooks";
import { NodeActions } from "../actions.js";
import { segment } from "../api.js";
import { size } from "../format.js";
import { html } from "../html.js";
import { Facts } from "../parts/facts.js";
import { JobsOf } from "../parts/jobs_of.js";
import { NodeMap } from "../parts/node_map.js";
import { Status } from "../parts/status.js";
import { UsagePlots } from "../parts/usage_plots.js";
import { href, InstanceLink, Link } from "../router.js";
import { rights } from "../session.js";
import { tables, unreachable } from "../store.js";
import { nodeStatus } from "./lists.js";

/** @typedef {import("../api.js").Row} Row */

const FURTHER = ["pip", "sip", "uuid", "master_candidate", "vm_capable", "powered", "bootid"];
const SHOWN = 50;

/** @param {{ name: string }} properties */
export function Node({ name }) {
  useEffect(() => {
    tables.node.need(FURTHER);
    tables.node.use();
    tables.instance.use();
  }, []);
  const node = tables.node.rows.value.get(name);
  if (!node) {
    const text = tables.node.loaded.value ? `There is no node ${name}.` : "Loading …";
    return html`<h1 dir="auto">${name}</h1><p role="status">${text}</p>`;
  }
  const instances = [...tables.instance.rows.value.values()];
  const primary = instances.filter((each) => each["pnode"] === name);
  const secondary = instances.filter((each) => each["snodes"]?.includes(name));
  const reason = unreachable.value.get(name);
  return html`
    <div class="title">
      <h1 dir="auto">${name}</h1>
      <${Status} status=${nodeStatus(node)} />
    </div>
    ${reason ? html`<p class="problem">${reason}</p>` : null}
    <div class="controls" role="toolbar" aria-label="Actions">
      <${NodeActions} names=${[name]} leave=${[node["drained"] ? "drain" : "undrain"]} />
    </div>
    <${NodeMap} nodes=${[node]} instances=${primary} />
    <${Facts}
      facts=${[
        ["Group", node["group"]],
        ["Memory", `${size(node["mtotal"])}, ${size(node["mfree"])} free`],
        ["Disk", `${size(node["dtotal"])}, ${size(node["dfree"])} free`],
        ["CPUs", node["ctotal"]],
        ["Address", node["pip"]],
        ["Secondary address", node["sip"]],
        ["Master candidate", node["master_candidate"]],
        ["Hosts instances", node["vm_capable"]],
        ["Tags", node["tags"]],
        ["UUID", node["uuid"]],
      ]}
    />
    ${rights.value.limited || node["offline"] ? null : html`<${UsagePlots} path=${`/2/nodes/${segment(name)}/usage`} />`}
    <${Hosted} title="Primary instances" instances=${primary} filter=${`pnode == "${name}"`} />
    <${Hosted} title="Secondary instances" instances=${secondary} filter=${`"${name}" in snodes`} />
    <${JobsOf} name=${name} />
  `;
}

/** @param {{ title: string, instances: Row[], filter: string }} properties */
function Hosted({ title, instances, filter }) {
  return html`
    <section>
      <h2>${title}</h2>
      ${instances.length
        ? html`
            <ul class="jobs">
              ${instances.slice(0, SHOWN).map(
                (each) => html`
                  <li key=${each["name"]}>
                    <${InstanceLink} name=${each["name"]} />
                    <${Status} status=${each["status"]} />
                    <span class="muted">${size(each["be/maxmem"])}</span>
                  </li>
                `,
              )}
            </ul>
            <p><${Link} to=${`${href("instances")}?filter=${encodeURIComponent(filter)}`}>All ${instances.length} in a list<//></p>
          `
        : html`<p class="muted">None.</p>`}
    </section>
  `;
}
