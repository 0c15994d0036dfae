// SPDX-License-Identifier: BSD-2-Clause
// Filters select the same rows as on the server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compileFilter, complete, FilterError, parseFilter } from "../../src/filters.js";

const KNOWN = new Set(["name", "status", "be/maxmem", "pnode", "tags", "oper_ram"]);
const ROWS = [
  { name: "web1.example.com", status: "running", "be/maxmem": 512, pnode: "node1.example.com", tags: ["blue"], oper_ram: 512 },
  { name: "web2.example.com", status: "ADMIN_down", "be/maxmem": 2048, pnode: "node2.example.com", tags: [], oper_ram: null },
  { name: "db1.example.com", status: "running", "be/maxmem": 4096, pnode: "node1.example.com", tags: ["red"], oper_ram: 4096 },
];

/** @param {string} text */
function select(text) {
  const { matches } = compileFilter(text, "name", KNOWN);
  return ROWS.filter(matches).map((row) => row.name.split(".")[0]);
}

test("operators mean what they mean to gnt-instance list -F", () => {
  /** @type {[string, string[]][]} */
  const cases = [
    ['status == "running"', ["web1", "db1"]],
    ['status != "running"', ["web2"]],
    ["be/maxmem > 512", ["web2", "db1"]],
    ["be/maxmem >= 512 and be/maxmem < 4096", ["web1", "web2"]],
    ['pnode == "node1"', ["web1", "db1"]],
    ["name =~ m/^WEB/i", ["web1", "web2"]],
    ["name !~ /^web/", ["db1"]],
    ['name =* "web?"', ["web1", "web2"]],
    ['"blue" in tags', ["web1"]],
    ['"blue" not in tags', ["web2", "db1"]],
    ["tags", ["web1", "db1"]],
    ['not (status == "running" or tags)', ["web2"]],
    ['name == "web1" or name == "db1.example.com"', ["web1", "db1"]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(select(text), expected, text);
});

test("a comparison with a value that is not known holds, as on the server", () => {
  assert.deepEqual(select("oper_ram == 512"), ["web1", "web2"]);
});

test("and binds tighter than or", () => {
  assert.deepEqual(parseFilter("a or b and not c"), ["|", ["?", "a"], ["&", ["?", "b"], ["!", ["?", "c"]]]]);
});

test("a word is searched for in names", () => {
  assert.deepEqual(select("EB2"), ["web2"]);
});

test("what is wrong is said, and where", () => {
  assert.throws(() => parseFilter('status == "running" and'), /column 24: expected a field/);
  assert.throws(() => parseFilter("status ==="), FilterError);
  assert.throws(() => parseFilter("name =~ /(/"), /no regular expression/);
  assert.throws(() => compileFilter("colour == 1", "name", KNOWN), /There is no field colour/);
  assert.throws(() => parseFilter("(".repeat(100)), /nested/);
});

test("quotes and backslashes in text are read", () => {
  assert.deepEqual(parseFilter('name == "a\\"b"'), ["==", "name", 'a"b']);
});

test("fields, values and words are completed", () => {
  const values = () => ["running", "ADMIN_down"];
  assert.deepEqual(complete("sta", KNOWN, values), { start: 0, words: ["status"] });
  assert.deepEqual(complete('status == "r', KNOWN, values), { start: 10, words: ['"running"'] });
  assert.deepEqual(complete('status == "running" ', KNOWN, values).words, ["and", "or"]);
  assert.ok(complete("status ", KNOWN, values).words.includes("=="));
});
