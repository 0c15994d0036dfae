// SPDX-License-Identifier: BSD-2-Clause
// Every layout has a key for each character of ASCII, and each key one place.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LAYOUTS, strokeOf } from "../../src/consoles/layouts.js";

const ASCII = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
const WIDTHS = [13, 13, 11, 11];

for (const [name, layout] of Object.entries(LAYOUTS)) {
  test(`the layout ${layout.title} types all of ASCII, each character by a stroke of its own`, () => {
    const strokes = ASCII.map((each) => JSON.stringify(strokeOf(name, each)));
    assert.deepEqual(ASCII.filter((_, index) => strokes[index] === "null"), []);
    assert.equal(new Set(strokes).size, ASCII.length);
  });

  test(`the rows of the layout ${layout.title} have as many characters as keys`, () => {
    for (const rows of [layout.plain, layout.shift, layout.altgr]) {
      assert.deepEqual(rows.map((row) => [...row].length), WIDTHS.slice(0, rows.length));
    }
  });
}

test("characters are where keyboards have them", () => {
  const key = (/** @type {string} */ code, more = {}) => ({ code, shift: false, altgr: false, dead: false, ...more });
  assert.deepEqual(strokeOf("us", "z"), key("KeyZ"));
  assert.deepEqual(strokeOf("de", "z"), key("KeyY"));
  assert.deepEqual(strokeOf("de", "@"), key("KeyQ", { altgr: true }));
  assert.deepEqual(strokeOf("de", "^"), key("Backquote", { dead: true }));
  assert.deepEqual(strokeOf("fr", "1"), key("Digit1", { shift: true }));
  assert.deepEqual(strokeOf("gb", "~"), key("Backslash", { shift: true }));
  assert.equal(strokeOf("us", "é"), null);
});
