// SPDX-License-Identifier: BSD-2-Clause
import assert from "node:assert/strict";
import { test } from "node:test";
import { countEnded, jobRates } from "../../src/job_rates.js";

/** @param {number} length @param {Record<number, number>} values */
const column = (length, values) => Array.from({ length }, (_, index) => values[index] ?? 0);

const series = { success: column(240, { 100: 3, 239: 1 }), error: column(240, { 100: 1 }), canceled: column(240, {}) };
const rates = { step: 60, end: 24000, series: { ...series, run_p50: column(240, { 100: 2 }) } };

test("jobs are plotted from the first step on in which one has ended", () => {
  const [times, ended, failed, run] = jobRates(rates);
  assert.deepEqual([times?.length, times?.[0], times?.at(-1)], [140, 24000 - 140 * 60, 24000 - 60]);
  assert.deepEqual([ended?.[0], failed?.[0], run?.[0], ended?.at(-1)], [4, 1, 2, 1]);
});

test("an hour is shown when no job has ended", () => {
  const none = { success: column(240, {}), error: column(240, {}), canceled: column(240, {}) };
  assert.equal(jobRates({ ...rates, series: none })[0]?.length, 60);
});

test("all jobs that have ended are counted", () => assert.equal(countEnded(rates), 5));
