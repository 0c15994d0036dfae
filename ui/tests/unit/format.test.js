// SPDX-License-Identifier: BSD-2-Clause
// Values are shown as the command-line tools show them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, duration, rate, size, text, tone } from "../../src/format.js";

test("sizes have a unit that fits", () => {
  assert.deepEqual([16, 1024, 1536, 200 * 1024, 2 ** 21, null].map(size), ["16M", "1.0G", "1.5G", "200G", "2.0T", "–"]);
});

test("times have a unit that fits", () => {
  assert.deepEqual([0.26, 61, 600, 9000, null].map(duration), ["0.3 s", "61 s", "10 min", "2.5 h", "–"]);
});

test("names with numbers are in the order of the numbers, and what is missing comes last", () => {
  assert.deepEqual(["web10", null, "web9"].sort(compare), ["web9", "web10", null]);
});

test("every value has a text", () => {
  assert.equal(text([1, null, true]), "1, –, yes");
  assert.equal(text({ a: 1 }), '{"a":1}');
});

test("an unknown error is bad", () => {
  assert.equal(tone("ERROR_something"), "bad");
});

test("rates have the unit in which they are short", () => {
  assert.deepEqual([0, 999, 1500, 250e6, 3e12].map(rate), ["0 B/s", "999 B/s", "1.5 kB/s", "250 MB/s", "3000 GB/s"]);
});
