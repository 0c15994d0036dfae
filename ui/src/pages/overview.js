// SPDX-License-Identifier: BSD-2-Clause
/** The cluster at a glance: what is wrong, how full it is, what runs now, and where. */
import { useEffect } from "preact/hooks";
import { INSTANCE_ACTIONS, openAction } from "../actions.js";
import { duration, percent, seconds, size } from "../format.js";
import { findings, redundancy } from "../health.js";
import { html } from "../html.js";
import { JobPlot } from "../parts/job_plot.js";
import { NodeMap } from "../parts/node_map.js";
import { Status } from "../parts/status.js";
import { href, InstanceLink, JobLink, Link, NodeLink } from "../router.js";
import { degraded, tables, unreachable } from "../store.js";

/** @typedef {import("../api.js").Row} Row */

const MAX_SHOWN = 12;
const ACTIVE = ["running", "waiting", "queued", "canceling"];

export function Overview() {
  useEffect(() => {
    for (const kind of /** @type {const} */ (["instance", "node", "job"])) tables[kind].use();
  }, []);
  const instances = [...tables.instance.rows.value.values()];
  const nodes = [...tables.node.rows.value.values()];
  const jobs = [...tables.job.rows.value.values()];
  const loaded = tables.instance.loaded.value && tables.node.loaded.value;
  const problem = tables.node.error.value || tables.instance.error.value;
  return html`
    <h1>Overview</h1>
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    ${loaded
      ? html`
          <${Capacity} instances=${instances} nodes=${nodes} />
          <div class="columns">
            <${Health} instances=${instances} nodes=${nodes} />
            <${Activity} jobs=${jobs} />
          </div>
          <section aria-labelledby="map-title">
            <h2 id="map-title">Nodes</h2>
            <${NodeMap} nodes=${nodes} instances=${instances} />
          </section>
          <${JobPlot} ended=${jobs.filter((job) => !ACTIVE.includes(job["status"])).length} />
        `
      : html`<p role="status">Loading …</p>`}
  `;
}

/** @param {{ instances: Row[], nodes: Row[] }} properties */
function Health({ instances, nodes }) {
  const found = findings(nodes, instances, unreachable.value, degraded.value);
  return html`
    <section aria-labelledby="health-title">
      <h2 id="health-title">Health</h2>
      ${found.length
        ? html`
            <ul class="findings">
              ${found.slice(0, MAX_SHOWN).map(
                ({ kind, name, text, action, command }) => html`
                  <li key=${kind + name}>
                    ${kind === "node" ? html`<${NodeLink} name=${name} />` : html`<${InstanceLink} name=${name} />`}
                    <span>${text}</span>
                    ${action && INSTANCE_ACTIONS[action]
                      ? html`<button onClick=${() => openAction(action, [name])}>${INSTANCE_ACTIONS[action].title}</button>`
                      : null}
                    ${command ? html`<code>${command}</code>` : null}
                  </li>
                `,
              )}
            </ul>
            ${found.length > MAX_SHOWN ? html`<p class="muted">and ${found.length - MAX_SHOWN} more</p>` : null}
          `
        : html`<p><${Status} status="success" label="No problems found" /></p>`}
    </section>
  `;
}

/** @param {{ instances: Row[], nodes: Row[] }} properties */
function Capacity({ instances, nodes }) {
  const online = nodes.filter((node) => !node["offline"]);
  /** @param {string} field */
  const sum = (field) => online.reduce((total, node) => total + (node[field] ?? 0), 0);
  const running = instances.filter((instance) => instance["status"] === "running").length;
  const [memory, free] = [sum("mtotal"), sum("mfree")];
  const [disk, diskFree] = [sum("dtotal"), sum("dfree")];
  const short = redundancy(nodes, instances);
  return html`
    <section class="tiles" aria-label="Capacity">
      <${Tile} title="Instances running" to=${href("instances")} value=${`${running} of ${instances.length}`} />
      <${Tile} title="Nodes online" to=${href("nodes")} value=${`${online.length} of ${nodes.length}`} />
      <${Tile} title="Memory free" value=${`${size(free)} of ${size(memory)}`} note=${`${percent(memory - free, memory)} used`} />
      <${Tile} title="Disk free" value=${`${size(diskFree)} of ${size(disk)}`} note=${`${percent(disk - diskFree, disk)} used`} />
      <${Tile}
        title="N+1 memory"
        value=${short.length ? `${short.length} short` : "sufficient"}
        note=${short.length ? short.map((each) => each.node).join(", ") : "for mirrored instances"}
      />
    </section>
  `;
}

/** @param {{ title: string, value: string, note?: string, to?: string }} properties */
function Tile({ title, value, note, to }) {
  return html`
    <div class="tile">
      <div class="muted">${to ? html`<${Link} to=${to}>${title}<//>` : title}</div>
      <div class="figure">${value}</div>
      <div class="muted">${note}</div>
    </div>
  `;
}

/** @param {{ jobs: Row[] }} properties */
function Activity({ jobs }) {
  const active = jobs.filter((job) => ACTIVE.includes(job["status"]));
  const shown = active.length ? active : jobs.slice(-5).reverse();
  return html`
    <section aria-labelledby="activity-title">
      <h2 id="activity-title">${active.length ? "Jobs under way" : "Last jobs"}</h2>
      ${shown.length
        ? html`<ul class="jobs">
            ${shown.slice(0, MAX_SHOWN).map(
              (job) => html`
                <li key=${job["id"]}>
                  <${JobLink} id=${job["id"]} />
                  <${Status} status=${job["status"]} />
                  <span class="summary">${job["summary"].join(", ")}</span>
                  <span class="muted">${ended(job)}</span>
                </li>
              `,
            )}
          </ul>`
        : html`<p class="muted">No jobs.</p>`}
      ${active.length > MAX_SHOWN ? html`<p><${Link} to=${href("jobs")}>All ${active.length}<//></p>` : null}
    </section>
  `;
}

/** @param {Row} job */
function ended(job) {
  const [start, end] = [seconds(job["start_ts"]), seconds(job["end_ts"])];
  return start !== null && end !== null ? `took ${duration(end - start)}` : "";
}
