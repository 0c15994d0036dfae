// SPDX-License-Identifier: BSD-2-Clause
// Findings name the object, and what mends it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { findings, redundancy } from "../../src/health.js";

const NODE1 = { name: "node1", offline: false, mtotal: 8192, mfree: 1024 };
const NODE2 = { name: "node2", offline: false, mtotal: 8192, mfree: 4096 };
const WEB1 = { name: "web1", status: "running", pnode: "node2", snodes: ["node1"], "be/maxmem": 2048 };

test("nothing is wrong with what is well", () => {
  assert.deepEqual(findings([NODE2], [{ ...WEB1, snodes: ["node2"] }], new Map()), []);
});

test("a crashed instance can be started again", () => {
  const [found] = findings([], [{ ...WEB1, status: "ERROR_down" }], new Map());
  assert.equal(found?.name, "web1");
  assert.equal(found?.action, "startup");
});

test("a node that does not answer comes with the command that mends it", () => {
  const [found] = findings([NODE2], [], new Map([["node2", "connection refused"]]));
  assert.match(found?.text ?? "", /connection refused/);
  assert.equal(found?.command, "gnt-node modify --offline=yes node2");
});

test("a node is missing memory for the instances of another one", () => {
  assert.deepEqual(redundancy([NODE1, NODE2], [WEB1]), [{ node: "node1", failing: "node2", missing: 1024 }]);
  assert.deepEqual(redundancy([NODE1, NODE2], [{ ...WEB1, status: "ADMIN_down" }]), []);
});
