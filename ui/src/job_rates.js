// SPDX-License-Identifier: BSD-2-Clause
/** @typedef {import("./usage.js").Usage} Usage */

/** How many steps are shown at least, so that the first ones are not stretched. */
const MIN_STEPS = 60;

/**
 * Return what is plotted from the first step on in which a job has ended: times in seconds, jobs that
 * ended, those of them that failed, and the median and the 95th percentile of their waits and run times.
 *
 * @param {Usage} rates
 */
export function jobRates({ step, end, series }) {
  const length = series["success"]?.length ?? 0;
  /** @param {string} name */
  const column = (name) => series[name] ?? [];
  /** @param {number} index */
  const at = (index) => (column("success")[index] ?? 0) + (column("error")[index] ?? 0) + (column("canceled")[index] ?? 0);
  const ended = Array.from({ length }, (_, index) => at(index));
  const first = ended.findIndex((each) => each > 0);
  const start = Math.max(0, Math.min(length - MIN_STEPS, first < 0 ? length : first));
  const times = ended.map((_, index) => end - (length - index) * step);
  const columns = [times, ended, ...["error", "run_p50", "run_p95", "wait_p50", "wait_p95"].map(column)];
  return columns.map((values) => values.slice(start));
}

/**
 * How many jobs have ended; Prometheus estimates that.
 *
 * @param {Usage} rates
 */
export const countEnded = ({ series }) =>
  Math.round(["success", "error", "canceled"].flatMap((name) => series[name] ?? []).reduce((/** @type {number} */ sum, each) => sum + (each ?? 0), 0));
