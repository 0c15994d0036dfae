// SPDX-License-Identifier: BSD-2-Clause
import assert from "node:assert/strict";
import { test } from "node:test";
import { readViewers } from "../../src/consoles/viewers.js";

/** @param {object} message */
const read = (message) =>
  readViewers(JSON.stringify({ viewers: ["anna", "bert"], watching: [], controller: null, you: 0, ...message }));

test("others are named, and whether they watch", () => {
  assert.deepEqual(read({}), { others: ["bert"], watching: false, controller: null });
  assert.deepEqual(read({ watching: [1] }).others, ["bert (watching)"]);
});

test("one user may be there twice", () => {
  assert.deepEqual(read({ viewers: ["anna", "anna"], you: 1 }).others, ["anna"]);
});

test("who has taken over is another, or oneself", () => {
  assert.deepEqual(read({ watching: [0], controller: 1 }), { others: ["bert"], watching: true, controller: "bert" });
  assert.deepEqual(read({ watching: [1], controller: 0 }), { others: ["bert (watching)"], watching: false, controller: null });
});
