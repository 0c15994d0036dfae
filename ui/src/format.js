// SPDX-License-Identifier: BSD-2-Clause
/** How values are shown. */

const UNITS = ["M", "G", "T", "P"];

/**
 * Format a size as the command-line tools do: 128M, 1.5G.
 *
 * @param {number | null | undefined} mebibytes
 */
export function size(mebibytes) {
  if (mebibytes === null || mebibytes === undefined) return "–";
  let value = mebibytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)}${UNITS[unit]}`;
}

/**
 * @param {[number, number] | null | undefined} timestamp seconds and microseconds
 * @returns {number | null} seconds
 */
export function seconds(timestamp) {
  return timestamp ? timestamp[0] + timestamp[1] / 1e6 : null;
}

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

/** @param {number | [number, number] | null | undefined} timestamp */
export function time(timestamp) {
  const at = Array.isArray(timestamp) ? seconds(timestamp) : timestamp;
  return at ? DATE.format(at * 1000) : "–";
}

/** @param {number | null} length in seconds */
export function duration(length) {
  if (length === null) return "–";
  if (length < 10) return `${length.toFixed(1)} s`;
  if (length < 120) return `${Math.round(length)} s`;
  if (length < 7200) return `${Math.round(length / 60)} min`;
  return `${(length / 3600).toFixed(1)} h`;
}

const BYTES = ["B/s", "kB/s", "MB/s", "GB/s"];

/** @param {number} bytes per second */
export function rate(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < BYTES.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${BYTES[unit]}`;
}

/** @param {number} part @param {number} whole */
export const percent = (part, whole) => (whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–");

const COLLATOR = new Intl.Collator(undefined, { numeric: true });

/**
 * Compare values of any kind; those that are not there come last.
 *
 * @param {any} a
 * @param {any} b
 */
export function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return COLLATOR.compare(String(a), String(b));
}

/**
 * @param {any} value
 * @returns {string}
 */
export function text(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map((each) => (each === null ? "–" : text(each))).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/**
 * What a status means for the eye: good, busy, bad or off.
 *
 * @type {Record<string, string>}
 */
const TONES = {
  running: "good",
  success: "good",
  online: "good",
  queued: "busy",
  waiting: "busy",
  canceling: "busy",
  error: "bad",
  canceled: "off",
  ADMIN_down: "off",
  ADMIN_offline: "off",
  USER_down: "off",
  offline: "off",
  drained: "busy",
};

/** @param {string | null} status */
export function tone(status) {
  if (!status) return "off";
  return TONES[status] ?? (status.startsWith("ERROR") || status === "unreachable" ? "bad" : "off");
}

/** @param {string} list words that commas or spaces separate */
export const words = (list) => list.split(/[\s,]+/).filter(Boolean);

/**
 * Why an opcode has failed, by its result.
 *
 * @param {any} result
 * @returns {string}
 */
export function failureOf(result) {
  const why = Array.isArray(result) && Array.isArray(result[1]) ? result[1][0] : result;
  return typeof why === "string" ? why : JSON.stringify(why);
}
