// SPDX-License-Identifier: BSD-2-Clause
/** What is wrong with the cluster, and what mends it. */

/** @typedef {import("./api.js").Row} Row */
/**
 * @typedef {object} Finding
 * @property {"node" | "instance"} kind
 * @property {string} name
 * @property {string} text
 * @property {string} [action] the action of the console that mends it
 * @property {string} [command] what to run on the master
 */

/** @type {Record<string, { text: string, action?: string }>} */
const STATUSES = {
  ERROR_down: { text: "should run, and does not", action: "startup" },
  ERROR_up: { text: "runs, and should be stopped", action: "shutdown" },
  ERROR_wrongnode: { text: "runs on another node than its primary one", action: "cleanup" },
  ERROR_nodedown: { text: "its primary node does not answer" },
  ERROR_nodeoffline: { text: "its primary node is marked offline", action: "failover" },
};

/**
 * @param {Row[]} nodes
 * @param {Row[]} instances
 * @param {Map<string, string>} unreachable reasons by node
 * @param {Set<string>} degraded instances with a mirrored disk that has one good copy
 * @returns {Finding[]}
 */
export function findings(nodes, instances, unreachable, degraded = new Set()) {
  /** @type {Finding[]} */
  const found = [];
  for (const node of nodes) {
    const name = node["name"];
    const silent = unreachable.get(name) ?? (node["mtotal"] === null ? "it does not tell how it is" : null);
    if (!node["offline"] && silent) {
      const text = `does not answer (${silent}): start its node daemon, or power it off and mark it offline`;
      found.push({ kind: "node", name, text, command: `gnt-node modify --offline=yes ${name}` });
    }
  }
  for (const instance of instances) {
    const known = STATUSES[instance["status"]];
    if (known) found.push({ kind: "instance", name: instance["name"], ...known });
    if (degraded.has(instance["name"])) {
      const text = "a mirrored disk has only one good copy";
      const command = `gnt-instance replace-disks --auto ${instance["name"]}`;
      found.push({ kind: "instance", name: instance["name"], text, command });
    }
  }
  for (const { node, missing, failing } of redundancy(nodes, instances)) {
    const text = `lacks ${missing} MiB of memory to take over the instances of ${failing} if that fails`;
    found.push({ kind: "node", name: node, text, command: "gnt-cluster balance" });
  }
  return found;
}

/**
 * Nodes that could not take over the instances they are secondary for, if one other node failed.
 *
 * @param {Row[]} nodes
 * @param {Row[]} instances
 * @returns {{ node: string, failing: string, missing: number }[]}
 */
export function redundancy(nodes, instances) {
  /** @type {Map<string, Map<string, number>>} memory by secondary and primary node */
  const wanted = new Map();
  for (const instance of instances) {
    if (String(instance["status"]).startsWith("ADMIN_")) continue;
    for (const secondary of instance["snodes"] ?? []) {
      const by = wanted.get(secondary) ?? new Map();
      wanted.set(secondary, by);
      by.set(instance["pnode"], (by.get(instance["pnode"]) ?? 0) + (instance["be/maxmem"] ?? 0));
    }
  }
  const found = [];
  for (const node of nodes) {
    if (node["offline"] || node["mfree"] === null) continue;
    for (const [failing, memory] of wanted.get(node["name"]) ?? []) {
      const missing = memory - node["mfree"];
      if (missing > 0) found.push({ node: node["name"], failing, missing });
    }
  }
  return found;
}
