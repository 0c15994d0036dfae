# SPDX-License-Identifier: BSD-2-Clause
"""Job filters have the form that existing software sends, reads and keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.formats import ConfigDataEncoder, loaded
from ganeti.jobs.filter_actions import JobRateLimit
from ganeti.jobs.submission import new_job
from ganeti.luxi.server import LuxiMethods
from ganeti.master.filter_chain import FilterChain
from ganeti.opcodes.registry import read_opcode
from ganeti.testing.cluster import SimulatedCluster

DATA = Path(__file__).parent / "data"
UUID = "0000000b-0000-4000-8000-00000000000b"
RULE: dict[str, Any] = {
    "uuid": UUID,
    "watermark": 0,
    "priority": 0,
    "predicates": [["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]]],
    "action": ["RATE_LIMIT", 2],
    "reason_trail": [["gnt:user", "maintenance", 1700000000000000000]],
}
REPLACE = (
    b'{"method": "ReplaceFilter", "args": ["0000000b-0000-4000-8000-00000000000b", 0,'
    b' [["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]]], ["RATE_LIMIT", 2],'
    b' [["gnt:user", "maintenance", 1700000000000000000]]], "version": 3000000}'
)
QUERY = (
    b'{"method": "QueryFilters", "args": [null, ["watermark", "priority", "predicates", "action",'
    b' "reason_trail", "uuid"]], "version": 3000000}'
)
DELETE = b'{"method": "DeleteFilter", "args": ["0000000b-0000-4000-8000-00000000000b"]}'


class WireTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.now = int(self.cluster.clock.seconds() * 1e9)
        self.methods = LuxiMethods(self.cluster.master.answers())

    def ask(self, message: bytes) -> Any:
        answer = json.loads(self.cluster.wait(self.methods.answer_message(message))[:-1])
        return answer["success"], answer["result"]

    def rule(self) -> dict[str, Any]:
        """The rule as it was asked for, and when that was."""
        return {**RULE, "reason_trail": [RULE["reason_trail"][0], ["luxid", "", self.now]]}

    def test_a_rule_is_set_shown_and_removed(self) -> None:
        self.assertEqual(self.ask(REPLACE), (True, UUID))
        rule = self.rule()
        row = [
            rule[name]
            for name in ("watermark", "priority", "predicates", "action", "reason_trail", "uuid")
        ]
        self.assertEqual(self.ask(QUERY), (True, [row]))
        self.assertEqual(self.ask(DELETE), (True, None))
        self.assertEqual(self.ask(QUERY), (True, []))
        error = ["GenericError", [f"there is no job filter {UUID}; see gnt-filter list"]]
        self.assertEqual(self.ask(DELETE), (False, error))

    def test_a_rule_without_uuid_gets_one(self) -> None:
        success, uuid = self.ask(REPLACE.replace(f'"{UUID}"'.encode(), b"null"))
        self.assertTrue(success)
        self.assertRegex(uuid, r"\A[0-9a-f-]{36}\Z")

    def test_a_bad_rule_is_a_prerequisite_error_of_wrong_input(self) -> None:
        success, (name, (text, code)) = self.ask(REPLACE.replace(b"RATE_LIMIT", b"RATE"))
        self.assertEqual((success, name, code), (False, "OpPrereqError", "wrong_input"))
        self.assertIn("action: must be one of ACCEPT, PAUSE, REJECT, CONTINUE", text)

    def test_it_is_kept_where_it_is_looked_for(self) -> None:
        self.ask(REPLACE)
        text = ConfigDataEncoder().text(self.cluster.master.config.state())
        self.assertEqual(json.loads(text)["filters"], {UUID: self.rule()})


class OtherSoftwareTests(SynchronousTestCase):
    def test_the_rules_of_other_software_are_obeyed(self) -> None:
        state = loaded((DATA / "config.data").read_bytes(), ids=lambda: "")
        book = FilterChain(state.filters.values())
        creation = {
            "OP_ID": "OP_INSTANCE_CREATE",
            "instance_name": "web1",
            "mode": "create",
            "disk_template": "diskless",
            "disks": [],
            "nics": [],
        }
        for document, verdict in (
            (creation, JobRateLimit(UUID, 2)),
            ({"OP_ID": "OP_CLUSTER_VERIFY"}, None),
        ):
            self.assertEqual(book(new_job(11, [read_opcode(document)], 1.0)), verdict)
