// SPDX-License-Identifier: BSD-2-Clause
// A stream of events is read however it is cut into pieces.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageParser } from "../../src/event_stream.js";

const STREAM = [
  "retry: 1000\n\n",
  'id: 21\nevent: ready\ndata: {"position":"21"}\n\n',
  ': heartbeat\nid: 30\n\n',
  'id: 31.1\nevent: job\ndata: {"kind":"job"}\n\n',
].join("");

const MESSAGES = [
  { id: "21", event: "ready", data: '{"position":"21"}' },
  { id: "31.1", event: "job", data: '{"kind":"job"}' },
];

test("messages do not depend on how they arrive", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new MessageParser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size) found.push(...parser.receive(STREAM.slice(at, at + size)));
    assert.deepEqual(found, MESSAGES, `pieces of ${size}`);
  }
});

test("a heartbeat says where to go on", () => {
  const parser = new MessageParser();
  parser.receive(STREAM.slice(0, STREAM.indexOf("id: 31.1")));
  assert.equal(parser.lastId, "30");
});
