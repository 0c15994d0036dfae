// SPDX-License-Identifier: BSD-2-Clause
/** One instance: state, disks, network cards, parameters and where each comes from, jobs. */
import { useEffect, useState } from "preact/hooks";
import { ChangeCd, InstanceActions } from "../actions.js";
import { ApiError, query, segment } from "../api.js";
import { size, text, time } from "../format.js";
import { html } from "../html.js";
import { Facts } from "../parts/facts.js";
import { JobsOf } from "../parts/jobs_of.js";
import { PlainTable } from "../parts/plain_table.js";
import { Status } from "../parts/status.js";
import { Thumbnail } from "../parts/thumbnail.js";
import { UsagePlots } from "../parts/usage_plots.js";
import { href, Link, NodeLink } from "../router.js";
import { rights } from "../session.js";
import { cluster, tables } from "../store.js";

/** @typedef {import("../api.js").Row} Row */

const FIELDS = [
  ...["name", "uuid", "status", "admin_state", "oper_ram", "oper_vcpus", "pnode", "snodes", "os"],
  ...["hypervisor", "disk_template", "disk.sizes", "disk.names", "disk.uuids", "nic.macs", "nic.ips"],
  ...["nic.modes", "nic.links", "nic.networks.names", "beparams", "hvparams", "osparams"],
  ...["custom_beparams", "custom_hvparams", "custom_osparams", "network_port", "tags", "ctime"],
  ...["mtime", "serial_no"],
];

/** Actions that make no sense while an instance does, or does not, run. */
const LEAVE = {
  running: ["startup", "failover"],
  stopped: ["shutdown", "reboot", "migrate"],
};

/** @param {{ name: string }} properties */
export function Instance({ name }) {
  const [row, setRow] = useState(/** @type {Row | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => tables.instance.use(), []);
  const brief = tables.instance.rows.value.get(name);

  // What the table shows has changed: so may have the rest.
  useEffect(() => {
    let ended = false;
    query("instance", FIELDS, ["=", "name", name]).then(
      ([found]) => {
        if (ended) return;
        setRow(found ?? null);
        setProblem(found ? "" : `There is no instance ${name}.`);
      },
      (error) => {
        if (!(error instanceof ApiError)) throw error;
        if (!ended) setProblem(error.message);
      },
    );
    return () => {
      ended = true;
    };
  }, [name, brief]);

  if (!row) return html`<h1 dir="auto">${name}</h1><p role="status">${problem || "Loading …"}</p>`;
  const running = row["oper_ram"] !== null;
  return html`
    <div class="title">
      <h1 dir="auto">${name}</h1>
      <${Status} status=${row["status"]} />
    </div>
    ${problem ? html`<p class="problem" role="alert">${problem}</p>` : null}
    <div class="controls" role="toolbar" aria-label="Actions">
      <${InstanceActions} names=${[name]} leave=${running ? LEAVE.running : LEAVE.stopped} />
      ${row["hypervisor"] === "kvm" ? html`<${ChangeCd} name=${name} />` : null}
      ${running && row["hvparams"]?.["serial_console"]
        ? html`<${Link} class="button" to=${href("instances", name, "serial")}>Serial console<//>`
        : null}
      ${running && row["hvparams"]?.["vnc_bind_address"]
        ? html`<${Link} class="button" to=${href("instances", name, "screen")}>Screen<//>`
        : null}
    </div>
    <${Facts}
      facts=${[
        ["Primary node", html`<${NodeLink} name=${row["pnode"]} />`],
        ["Secondary nodes", html`<span>${nodes(row["snodes"])}</span>`],
        ["Memory", running ? `${size(row["oper_ram"])} in use` : "not running"],
        ["CPUs", running ? row["oper_vcpus"] : "not running"],
        ["OS definition", row["os"]],
        ["Hypervisor", row["hypervisor"]],
        ["Console port", row["network_port"]],
        ["Tags", row["tags"]],
        ["Created", time(row["ctime"])],
        ["Changed", `${time(row["mtime"])} (${row["serial_no"]})`],
        ["UUID", row["uuid"]],
      ]}
    />
    ${running && row["hvparams"]?.["vnc_bind_address"] && rights.value.role !== "viewer"
      ? html`<${Thumbnail} name=${name} />`
      : null}
    <${UsagePlots} path=${`/2/instances/${segment(name)}/usage`} />
    <${PlainTable} title="Disks" columns=${["Disk", "Size", "Name", "UUID"]} rows=${disks(row)} />
    <${PlainTable}
      title="Network cards"
      columns=${["Card", "MAC", "Address", "Mode", "Link", "Network"]}
      rows=${cards(row)}
    />
    <${Parameters} title="Backend parameters" kind="beparams" values=${row["beparams"]} own=${row["custom_beparams"]} />
    <${Parameters}
      title="Hypervisor parameters"
      kind="hvparams"
      values=${row["hvparams"]}
      own=${row["custom_hvparams"]}
      hypervisor=${row["hypervisor"]}
      os=${row["os"]}
    />
    <${JobsOf} name=${name} />
    <p><${Link} to=${`${href("history")}?name=${encodeURIComponent(name)}`}>History of changes<//></p>
  `;
}

/** @param {string[] | null} names */
const nodes = (names) =>
  names?.length ? names.map((name) => html`<${NodeLink} key=${name} name=${name} /> `) : "none";

/** @param {Row} row */
const disks = (row) =>
  (row["disk.sizes"] ?? []).map((/** @type {number} */ each, /** @type {number} */ index) => ({
    key: index,
    cells: [
      `${row["disk_template"]} ${index}`,
      size(each),
      text(row["disk.names"]?.[index]),
      text(row["disk.uuids"]?.[index]),
    ],
  }));

/** @param {Row} row */
const cards = (row) =>
  (row["nic.macs"] ?? []).map((/** @type {string} */ mac, /** @type {number} */ index) => ({
    key: index,
    cells: [
      index,
      mac,
      ...["nic.ips", "nic.modes", "nic.links", "nic.networks.names"].map((field) => text(row[field]?.[index])),
    ],
  }));

/**
 * Parameters, and where each comes from.
 *
 * @param {{ title: string, kind: string, values: Row, own: Row, hypervisor?: string, os?: string }} properties
 */
function Parameters({ title, kind, values, own, hypervisor, os }) {
  const [all, setAll] = useState(false);
  const facts = cluster.value ?? {};
  const ofOs = (os && hypervisor && facts["os_hvp"]?.[os]?.[hypervisor]) || {};
  const ofCluster = kind === "hvparams" ? (facts["hvparams"]?.[hypervisor ?? ""] ?? {}) : (facts["beparams"]?.["default"] ?? {});
  /** @param {string} name */
  function source(name) {
    if (name in (own ?? {})) return "instance";
    if (name in ofOs) return `OS definition ${os}`;
    return name in ofCluster ? "cluster" : "default";
  }
  const rows = Object.entries(values ?? {}).filter(([name]) => all || kind === "beparams" || name in (own ?? {}) || name in ofOs);
  return html`
    <section>
      <h2>${title}</h2>
      ${rows.length
        ? html`
            <div class="scroll" tabindex="0" role="region" aria-label=${title}>
              <table>
                <thead><tr><th scope="col">Parameter</th><th scope="col">Value</th><th scope="col">From</th></tr></thead>
                <tbody>
                  ${rows.map(
                    ([name, value]) => html`
                      <tr key=${name}>
                        <td><code>${name}</code></td>
                        <td dir="auto">${text(value)}</td>
                        <td class=${source(name) === "instance" ? "" : "muted"}>${source(name)}</td>
                      </tr>
                    `,
                  )}
                </tbody>
              </table>
            </div>
          `
        : html`<p class="muted">None of its own.</p>`}
      ${kind === "hvparams"
        ? html`<button onClick=${() => setAll(!all)}>${all ? "Only those set for it" : "Show all"}</button>`
        : null}
    </section>
  `;
}
