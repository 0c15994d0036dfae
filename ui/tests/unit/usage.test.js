// SPDX-License-Identifier: BSD-2-Clause
// Plots begin where something is known.
import assert from "node:assert/strict";
import { test } from "node:test";
import { latest, MIN_POINTS, withoutStart } from "../../src/usage.js";

test("plots begin where something is known, and are not stretched", () => {
  const nothing = Array.from({ length: 60 }, () => null);
  const cpu = [...nothing, ...Array.from({ length: 50 }, () => 1)];
  const series = { cpu, sent: Array.from({ length: 110 }, () => null) };
  assert.equal(withoutStart({ step: 15, end: 0, series }).series["cpu"]?.length, 50);
  const few = [...nothing, 1];
  assert.equal(withoutStart({ step: 15, end: 0, series: { few } }).series["few"]?.length, MIN_POINTS);
  assert.equal(withoutStart({ step: 15, end: 0, series: { few: [null, 1] } }).series["few"]?.length, MIN_POINTS);
});

test("few points are at the end of the plot", () => {
  const { few } = withoutStart({ step: 15, end: 0, series: { few: [2, 3] } }).series;
  assert.deepEqual([few?.length, few?.[0], few?.slice(-2)], [MIN_POINTS, null, [2, 3]]);
  assert.deepEqual(withoutStart({ step: 15, end: 0, series: { none: [] } }).series["none"]?.at(-1), null);
});

test("the newest value that is known is told", () => {
  assert.deepEqual([latest([1, 0, null]), latest([null]), latest([])], [0, null, null]);
});
