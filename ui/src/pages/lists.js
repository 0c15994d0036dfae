// SPDX-License-Identifier: BSD-2-Clause
/** The lists of all kinds of objects. */
import { CreateInstance, InstanceActions, NodeActions } from "../actions.js";
import { duration, seconds, size, text, time } from "../format.js";
import { html } from "../html.js";
import { List } from "../parts/list.js";
import { Status } from "../parts/status.js";
import { href, InstanceLink, JobLink, Link, NodeLink } from "../router.js";
import { tables, unreachable } from "../store.js";

/** @typedef {import("../api.js").Row} Row */
/** @typedef {import("../parts/grid.js").Column} Column */

/** @type {(name: string, title: string, width?: string) => Column} */
const sized = (name, title, width = "5.5rem") => ({
  name,
  title,
  width,
  number: true,
  show: (row) => size(row[name]),
});

/** @type {(name: string, title: string, width?: string) => Column} */
const counted = (name, title, width = "6.5rem") => ({ name, title, width, number: true });

/** @type {Column} */
const TAGS = { name: "tags", title: "Tags", width: "minmax(6rem, 1fr)", show: (row) => text(row["tags"]) };

/** @type {Column[]} */
const INSTANCE_COLUMNS = [
  { name: "name", title: "Instance", width: "minmax(10rem, 2fr)", show: (row) => html`<${InstanceLink} name=${row["name"]} />` },
  { name: "status", title: "Status", width: "minmax(8rem, 1fr)", show: (row) => html`<${Status} status=${row["status"]} />` },
  { name: "pnode", title: "Primary node", width: "minmax(8rem, 1fr)", show: (row) => html`<${NodeLink} name=${row["pnode"]} />` },
  sized("be/maxmem", "Memory"),
  counted("be/vcpus", "CPUs", "4rem"),
  sized("disk_usage", "Disk"),
  { name: "os", title: "OS", width: "minmax(5rem, 0.7fr)" },
  { name: "nic.ips", title: "Addresses", width: "minmax(6rem, 1fr)" },
  TAGS,
];

export const Instances = () => html`
  <${List}
    kind="instance"
    title="Instances"
    columns=${INSTANCE_COLUMNS}
    open=${(/** @type {string} */ name) => href("instances", name)}
    actions=${(/** @type {string[]} */ names) => html`<${InstanceActions} names=${names} />`}
    create=${html`<${CreateInstance} />`}
  />
`;

/** @type {Record<string, string>} */
const ROLES = { M: "master", C: "candidate", R: "regular", D: "drained", O: "offline" };

/** @param {Row} row */
export function nodeStatus(row) {
  if (row["offline"]) return "offline";
  if (unreachable.value.has(row["name"])) return "unreachable";
  return row["drained"] ? "drained" : "online";
}

/** @type {Column[]} */
const NODE_COLUMNS = [
  { name: "name", title: "Node", width: "minmax(10rem, 2fr)", show: (row) => html`<${NodeLink} name=${row["name"]} />` },
  { name: "role", title: "Role", width: "6rem", show: (row) => ROLES[row["role"]] ?? text(row["role"]) },
  { name: "offline", title: "Status", width: "8rem", show: (row) => html`<${Status} status=${nodeStatus(row)} />` },
  { name: "group", title: "Group", width: "minmax(6rem, 1fr)" },
  sized("mtotal", "Memory"),
  sized("mfree", "Memory free", "7.5rem"),
  sized("dtotal", "Disk"),
  sized("dfree", "Disk free"),
  counted("pinst_cnt", "Primary"),
  counted("sinst_cnt", "Secondary", "6.5rem"),
  TAGS,
];

export const Nodes = () => html`
  <${List}
    kind="node"
    title="Nodes"
    columns=${NODE_COLUMNS}
    open=${(/** @type {string} */ name) => href("nodes", name)}
    actions=${(/** @type {string[]} */ names) => html`<${NodeActions} names=${names} />`}
  />
`;

/** @type {Column[]} */
const GROUP_COLUMNS = [
  { name: "name", title: "Group", width: "minmax(8rem, 1fr)" },
  { name: "alloc_policy", title: "Allocation", width: "8rem" },
  counted("node_cnt", "Nodes"),
  counted("pinst_cnt", "Instances"),
  TAGS,
];

export const Groups = () => html`
  <${List} kind="group" title="Groups" columns=${GROUP_COLUMNS} />
`;

/** @type {Column[]} */
const NETWORK_COLUMNS = [
  {
    name: "name",
    title: "Network",
    width: "minmax(8rem, 1fr)",
    show: (row) => html`<${Link} to=${href("networks", row["name"])}>${row["name"]}<//>`,
  },
  { name: "network", title: "Subnet", width: "minmax(8rem, 1fr)" },
  { name: "gateway", title: "Gateway", width: "minmax(7rem, 1fr)" },
  counted("free_count", "Free"),
  counted("reserved_count", "Reserved"),
  counted("inst_cnt", "Instances"),
  TAGS,
];

export const Networks = () => html`
  <${List}
    kind="network"
    title="Networks"
    columns=${NETWORK_COLUMNS}
    open=${(/** @type {string} */ name) => href("networks", name)}
  />
`;

/** @type {Column[]} */
const OS_COLUMNS = [
  { name: "name", title: "OS definition", width: "minmax(8rem, 1fr)" },
  { name: "variants", title: "Variants", width: "minmax(8rem, 1fr)" },
  { name: "valid", title: "Valid on all nodes", width: "9rem" },
  { name: "hidden", title: "Hidden", width: "6rem" },
  { name: "blacklisted", title: "Blacklisted", width: "7rem" },
];

export const OsDefinitions = () => html`
  <${List} kind="os" title="OS definitions" columns=${OS_COLUMNS} />
`;

/** @type {Column[]} */
const EXPORT_COLUMNS = [
  { name: "export", title: "Export", width: "minmax(8rem, 1fr)" },
  { name: "node", title: "Node", width: "minmax(8rem, 1fr)", show: (row) => html`<${NodeLink} name=${row["node"]} />` },
];

export const Exports = () => html`
  <${List} kind="export" title="Exports" columns=${EXPORT_COLUMNS} />
`;

/** @type {Column[]} */
const JOB_COLUMNS = [
  { name: "id", title: "Job", width: "5rem", number: true, show: (row) => html`<${JobLink} id=${row["id"]} />` },
  { name: "status", title: "Status", width: "7rem", show: (row) => html`<${Status} status=${row["status"]} />` },
  { name: "summary", title: "Summary", width: "minmax(12rem, 3fr)" },
  { name: "received_ts", title: "Received", width: "12.5rem", show: (row) => time(row["received_ts"]) },
  {
    name: "end_ts",
    title: "Run time",
    width: "6rem",
    number: true,
    show: (row) => duration(runTime(row)),
  },
];

/** @param {Row} job */
export function runTime(job) {
  const [start, end] = [seconds(job["start_ts"]), seconds(job["end_ts"])];
  return start === null || end === null ? null : end - start;
}

export const Jobs = () => html`
  <${List}
    kind="job"
    title="Jobs"
    columns=${JOB_COLUMNS}
    order=${{ column: tables.job.key, descending: true }}
    open=${(/** @type {string} */ id) => href("jobs", id)}
  />
`;
