// SPDX-License-Identifier: BSD-2-Clause
/**
 * The state of the cluster as the browser knows it: a snapshot of each kind of object, kept true
 * by the event stream. An event of an object makes its row be read again; rows of many events are
 * read together, so a burst of events costs a few requests.
 */
import { batch, signal } from "@preact/signals";
import { ApiError, get, query } from "./api.js";
import { EventStream } from "./event_stream.js";

/** @typedef {import("./api.js").Row} Row */
/** @typedef {import("./event_stream.js").Message} Message */

const FLUSH_DELAY = 250;
const FORBIDDEN = 403;
const NOT_FOUND = 404;
const RETRY_DELAY = 2000;

/** How long until a row is read again that a node could not tell about, and at most. */
const DOUBT_DELAY = 5000;
const MAX_DOUBT_DELAY = 60000;

/** Rows that are read one by one; if more have changed, all are read. */
const MAX_CHANGED = 200;

/** All rows of one kind of object, by key, in the order of the server. */
export class Table {
  /** @type {import("@preact/signals").Signal<Map<string, Row>>} */
  rows = signal(new Map());
  /** Whether the rows were read. */
  loaded = signal(false);
  /** Why they could not be read. */
  error = signal("");
  /** @type {Set<string>} */
  #changed = new Set();
  #reading = false;
  #stale = false;
  #started = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Map<string, Row | null>} */
  #pushed = new Map();

  #doubtDelay = DOUBT_DELAY;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #doubtTimer;

  /**
   * @param {string} kind
   * @param {string} key the field that identifies a row
   * @param {string[]} fields those that are always read
   * @param {(row: Row) => boolean} [doubtful] whether a node has not told what it knows of a row
   */
  constructor(kind, key, fields, doubtful) {
    this.kind = kind;
    this.key = key;
    this.fields = [...fields];
    this.doubtful = doubtful;
  }

  /** Read the rows, unless that was done or is under way. */
  use() {
    if (this.#started) return;
    this.#started = true;
    this.refresh();
  }

  /**
   * Read further fields from now on.
   *
   * @param {Iterable<string>} fields
   */
  need(fields) {
    const missing = [...fields].filter((field) => !this.fields.includes(field));
    if (!missing.length) return;
    this.fields.push(...missing);
    if (this.#started) this.refresh();
  }

  clear() {
    clearTimeout(this.#timer);
    clearTimeout(this.#doubtTimer);
    this.#timer = undefined;
    this.#started = this.#stale = false;
    this.#changed.clear();
    this.#pushed.clear();
    this.loaded.value = false;
    this.rows.value = new Map();
  }

  /** Read all rows again. */
  refresh() {
    if (!this.#started) return;
    this.#stale = true;
    this.#schedule(0);
  }

  /** @param {Iterable<string>} keys rows to read again */
  changed(keys) {
    if (!this.#started) return;
    for (const key of keys) this.#changed.add(key);
    this.#schedule(FLUSH_DELAY);
  }

  /**
   * Take a row from an event; null if the object was removed.
   *
   * @param {string} key
   * @param {Row | null} row
   */
  push(key, row) {
    if (!this.#started) return;
    this.#pushed.set(key, row);
    this.#schedule(FLUSH_DELAY);
  }

  /**
   * Read rows again whose node was too slow to answer: no event tells when it does.
   *
   * @param {Map<string, Row>} rows
   */
  #readAgain(rows) {
    clearTimeout(this.#doubtTimer);
    if (!this.doubtful) return;
    const keys = [...rows].filter(([, row]) => this.doubtful?.(row)).map(([key]) => key);
    this.#doubtDelay = keys.length ? Math.min(MAX_DOUBT_DELAY, this.#doubtDelay * 2) : DOUBT_DELAY;
    if (keys.length) this.#doubtTimer = setTimeout(() => this.changed(keys), this.#doubtDelay);
  }

  /** @param {number} delay */
  #schedule(delay) {
    if (this.#reading || (this.#timer !== undefined && delay > 0)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), delay);
  }

  /**
   * @param {string[]} keys
   * @returns {Promise<Row[]>} the rows of those that there are
   */
  async #read(keys) {
    const named = ["|", ...keys.map((key) => ["=", this.key, key])];
    try {
      return await query(this.kind, this.fields, named);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== NOT_FOUND) throw error;
      // One is gone. Within another condition, names are no more than a filter.
      return query(this.kind, this.fields, ["&", named]);
    }
  }

  async #flush() {
    this.#timer = undefined;
    this.#reading = true;
    const whole = this.#stale || this.#changed.size > MAX_CHANGED;
    const keys = [...this.#changed];
    const pushed = new Map(this.#pushed);
    this.#stale = false;
    this.#changed.clear();
    this.#pushed.clear();
    try {
      const next = whole ? new Map() : new Map(this.rows.value);
      if (whole) {
        for (const row of await query(this.kind, this.fields)) next.set(String(row[this.key]), row);
      } else if (keys.length) {
        const rows = await this.#read(keys);
        const found = new Map(rows.map((row) => [String(row[this.key]), row]));
        for (const key of keys) {
          const row = found.get(key);
          if (row) next.set(key, row);
          else next.delete(key);
        }
      }
      for (const [key, row] of pushed) {
        if (row) next.set(key, { ...next.get(key), ...row });
        else next.delete(key);
      }
      if (!this.#started) return;
      batch(() => {
        this.rows.value = next;
        this.loaded.value = true;
        this.error.value = "";
      });
      this.#readAgain(next);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.error.value = error.message;
      if (error.status === FORBIDDEN) return; // which another attempt would not change
      this.#stale = this.#stale || whole;
      for (const key of keys) this.#changed.add(key);
      for (const [key, row] of pushed) if (!this.#pushed.has(key)) this.#pushed.set(key, row);
      // The master may be restarting; nothing was lost, and the rows are read when it is back.
      if (this.#started) this.#timer = setTimeout(() => this.#flush(), RETRY_DELAY);
    } finally {
      this.#reading = false;
    }
    if (this.#stale || this.#changed.size || this.#pushed.size) this.#schedule(FLUSH_DELAY);
  }
}

/** @param {Row} row */
const instanceInDoubt = (row) => row["status"] === "ERROR_nodedown";

/** @param {Row} row */
const nodeInDoubt = (row) => row["mtotal"] === null && !row["offline"] && row["vm_capable"] !== false;

export const INSTANCE_FIELDS = [
  ...["name", "status", "pnode", "snodes", "os", "hypervisor", "disk_template", "oper_ram"],
  ...["be/maxmem", "be/vcpus", "disk_usage", "nic.ips", "tags"],
];
export const NODE_FIELDS = [
  ...["name", "role", "group", "offline", "drained", "mtotal", "mfree", "mnode", "dtotal", "dfree"],
  ...["ctotal", "pinst_cnt", "sinst_cnt", "tags"],
];
export const JOB_FIELDS = ["id", "status", "summary", "received_ts", "start_ts", "end_ts"];

export const tables = {
  instance: new Table("instance", "name", INSTANCE_FIELDS, instanceInDoubt),
  node: new Table("node", "name", NODE_FIELDS, nodeInDoubt),
  job: new Table("job", "id", JOB_FIELDS),
  group: new Table("group", "name", ["name", "alloc_policy", "node_cnt", "pinst_cnt", "node_list", "tags"]),
  network: new Table("network", "name", [
    ...["name", "network", "gateway", "free_count", "reserved_count", "group_list", "inst_cnt", "map", "tags"],
  ]),
  os: new Table("os", "name", ["name", "variants", "valid", "hidden", "blacklisted"]),
  export: new Table("export", "export", ["export", "node"]),
};

/** @typedef {keyof typeof tables} Kind */

/** Facts about the cluster. */
export const cluster = signal(/** @type {Row | null} */ (null));

/** Why nodes do not answer, by name, as far as events have told. */
export const unreachable = signal(/** @type {Map<string, string>} */ (new Map()));

/** Instances with a mirrored disk that has only one good copy, as far as events have told. */
export const degraded = signal(/** @type {Set<string>} */ (new Set()));

/** The stream that keeps everything true; null while nobody is logged in. */
export const stream = signal(/** @type {EventStream | null} */ (null));

/** @type {Set<(event: Row) => void>} */
const listeners = new Set();

/**
 * Call a function for each event; returns what ends that.
 *
 * @param {(event: Row) => void} listener
 * @returns {() => void}
 */
export function onEvent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function start() {
  stream.value = new EventStream(receive);
  refreshCluster();
}

export function stop() {
  stream.value?.close();
  stream.value = null;
  cluster.value = null;
  for (const table of Object.values(tables)) table.clear();
}

async function refreshCluster() {
  try {
    cluster.value = await get("/2/info");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** @param {Message[]} messages */
function receive(messages) {
  for (const message of messages) {
    const event = JSON.parse(message.data);
    if (message.event === "reset" || message.event === "ready") {
      // The snapshots are read after the stream has begun, so nothing falls between the two.
      refreshAll();
    } else if (message.event !== "lagged") {
      apply(event);
      for (const listener of listeners) listener(event);
    }
  }
}

function refreshAll() {
  for (const table of Object.values(tables)) table.refresh();
  refreshCluster();
}

/** @param {Row} event */
function apply(event) {
  const names = [event.name, ...(event.names ?? [])].filter((name) => typeof name === "string");
  switch (event.kind) {
    case "disk":
      if (event.name) tables.instance.changed([event.name]);
      if (event.action === "degraded" || event.action === "recovered") {
        const next = new Set(degraded.value);
        if (event.action === "degraded") next.add(event.name);
        else next.delete(event.name);
        degraded.value = next;
      }
      break;
    case "instance":
      if (!names.length) tables.instance.refresh();
      nodesOf(names);
      tables.instance.changed(names);
      for (const node of [event.node, event.source]) if (node) tables.node.changed([node]);
      break;
    case "node":
      if (!names.length) tables.node.refresh();
      tables.node.changed(names);
      if (event.action === "memory") break;
      tables.instance.changed(instancesOn(names));
      if (event.action === "unreachable") note(names, event.reason || "does not answer");
      else if (event.action === "reachable" || event.action === "removed") note(names, null);
      tables.group.refresh();
      break;
    case "group":
      tables.group.refresh();
      break;
    case "network":
      tables.network.refresh();
      break;
    case "job":
      applyJob(event);
      break;
    case "cluster":
      refreshCluster();
      tables.node.refresh();
      tables.os.refresh();
      break;
  }
}

/** @param {Row} event */
function applyJob(event) {
  const id = String(event.job ?? event.value?.id ?? event.name);
  if (event.action === "removed") tables.job.push(id, null);
  else if (event.action !== "message" && event.value) tables.job.push(id, event.value);
  if (!event.value?.end_ts) return;
  tables.instance.changed(event.names?.filter((/** @type {string} */ name) => tables.instance.rows.peek().has(name)) ?? []);
  if (String(event.value.summary).includes("BACKUP")) tables.export.refresh();
}

/**
 * Read the nodes of instances again: their memory and disks have changed, too.
 *
 * @param {string[]} names
 */
function nodesOf(names) {
  for (const name of names) {
    const row = tables.instance.rows.peek().get(name);
    if (row) tables.node.changed([row["pnode"], ...(row["snodes"] ?? [])].filter(Boolean));
  }
}

/**
 * @param {string[]} nodes
 * @returns {string[]}
 */
function instancesOn(nodes) {
  const found = [];
  for (const [name, row] of tables.instance.rows.peek()) {
    if (nodes.includes(row["pnode"])) found.push(name);
  }
  return found;
}

/**
 * @param {string[]} nodes
 * @param {string | null} reason
 */
function note(nodes, reason) {
  const next = new Map(unreachable.value);
  for (const node of nodes) {
    if (reason) next.set(node, reason);
    else next.delete(node);
  }
  unreachable.value = next;
}
