// SPDX-License-Identifier: BSD-2-Clause
// The past is told as differences between values of the same object.
import assert from "node:assert/strict";
import { test } from "node:test";
import { differences, entriesOf, versionsOf } from "../../src/history.js";

test("differences name what has changed, and not that it has", () => {
  const before = { name: "web1", mtime: 1, serial_no: 1, beparams: { maxmem: 128, vcpus: 1 }, tags: [] };
  const after = { name: "web1", mtime: 2, serial_no: 2, beparams: { maxmem: 256, vcpus: 1 }, tags: ["blue"] };
  assert.deepEqual(differences(before, after), [
    { path: "beparams.maxmem", before: 128, after: 256 },
    { path: "tags", before: [], after: ["blue"] },
  ]);
});

test("each change is compared with the one before of the same object, the newest first", () => {
  const events = [
    { id: "1.1", uuid: "a", value: { size: 1 } },
    { id: "2.1", uuid: "b", value: { size: 7 } },
    { id: "3.1", uuid: "a", value: { size: 2 } },
    { id: "4.1", uuid: "a" },
  ];
  const entries = entriesOf(events);
  assert.deepEqual(entries.map(({ event }) => event["id"]), ["4.1", "3.1", "2.1", "1.1"]);
  assert.deepEqual(entries.map(({ changes }) => changes.length), [0, 1, 0, 0]);
});

test("an object is known as each change has left it", () => {
  const events = [
    { id: "1.1", at: 1, uuid: "a", action: "created", value: { size: 1 } },
    { id: "2.1", at: 2, uuid: "b", action: "created", value: { size: 7 } },
    { id: "3.1", at: 3, uuid: "a", action: "changed", why: "grown", value: { size: 2 } },
    { id: "3.2", at: 3, uuid: "a", action: "started" },
    { id: "4.1", at: 4, uuid: "a", action: "removed" },
  ];
  assert.deepEqual(versionsOf(events, "a"), [
    { id: "1.1", at: 1, action: "created", why: "", value: { size: 1 } },
    { id: "3.1", at: 3, action: "changed", why: "grown", value: { size: 2 } },
    { id: "4.1", at: 4, action: "removed", why: "", value: null },
  ]);
});

test("a removed object is still named", () => {
  const [removed] = entriesOf([{ id: "1.1", uuid: "a", name: "web1" }, { id: "2.1", uuid: "a", name: null }]);
  assert.equal(removed?.event["name"], "web1");
});
