// SPDX-License-Identifier: BSD-2-Clause
/** What was used over the last hours, as the server answers it. */

/** @typedef {{ step: number, end: number, series: Record<string, (number | null)[]> }} Usage */

/** How many points are shown at least, so that the first ones are not stretched. */
export const MIN_POINTS = 40;

/**
 * Leave out the time of which nothing is known, such as before a node daemon was started, and begin
 * with unknown points where there are few.
 *
 * @param {Usage} usage
 * @returns {Usage}
 */
export function withoutStart(usage) {
  const columns = Object.values(usage.series);
  const length = columns[0]?.length ?? 0;
  const starts = columns.map((values) => values.findIndex((each) => each !== null)).filter((each) => each >= 0);
  const start = Math.max(0, Math.min(length - MIN_POINTS, ...starts));
  const missing = Array.from({ length: Math.max(0, MIN_POINTS - (length - start)) }, () => null);
  const series = Object.fromEntries(Object.entries(usage.series).map(([name, values]) => [name, [...missing, ...values.slice(start)]]));
  return { ...usage, series };
}

/**
 * Return the newest value that is known.
 *
 * @param {(number | null)[]} values
 */
export const latest = (values) => values.findLast((each) => each !== null) ?? null;
