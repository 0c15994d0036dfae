# SPDX-License-Identifier: BSD-2-Clause
"""Queries are answered in slices, and bounded in what they may ask for."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.master.queries import MAX_COLUMNS
from ganeti.opcodes.query import QueryOpcode, Resource
from ganeti.opcodes.registry import read_opcode
from ganeti.opcodes.test import Delay
from ganeti.testing.cluster import SimulatedCluster


def creation(name: str, node: str) -> dict[str, Any]:
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "mode": "create",
        "pnode": node,
        "disk_template": "diskless",
        "disks": [],
        "nics": [],
        "os_type": "noop",
        "name_check": False,
    }


class QueryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)

    def query(self, what: str, fields: list[str], qfilter: Any = None) -> Any:
        asking = self.cluster.master.answers()["Query"](what, fields, qfilter)
        answer: Any = self.cluster.wait(asking)  # type: ignore[arg-type]  # a coroutine
        return msgspec.json.decode(msgspec.json.encode(answer))["data"]

    def test_a_filter_selects_rows(self) -> None:
        found = self.query("node", ["name"], ["=~", "name", "[23]"])
        self.assertEqual([row[0][1][:5] for row in found], ["node2", "node3"])
        self.assertEqual(self.query("node", ["name"], ["|"]), [])

    def test_about_one_instance_only_its_node_is_asked(self) -> None:
        node = self.cluster.hosts[1].name
        self.cluster.submit(read_opcode(creation("web1", node)))
        self.cluster.finish_jobs()
        self.query("node", ["mfree"])
        self.cluster.pass_time(10.0)
        self.cluster.network.asked.clear()
        [[[_, status]]] = self.query("instance", ["status"], ["==", "name", "web1"])
        asked = [name for name, call in self.cluster.network.asked if call == "node_info"]
        self.assertEqual((status, asked), ("running", [node]))

    def test_one_that_does_not_run_may_run_on_any_node(self) -> None:
        self.cluster.submit(read_opcode({**creation("web1", "node2"), "start": False}))
        self.cluster.finish_jobs()
        self.cluster.pass_time(10.0)
        self.cluster.network.asked.clear()
        [[[_, status]]] = self.query("instance", ["status"], ["==", "name", "web1"])
        asked = {name for name, call in self.cluster.network.asked if call == "node_info"}
        self.assertEqual((status, asked), ("ADMIN_down", {"node1", "node2", "node3"}))

    def test_many_jobs_are_looked_up_by_number(self) -> None:
        self.cluster.submit(Delay(duration=0))
        self.cluster.finish_jobs()
        numbers = ["|", *(["==", "id", number] for number in range(1, 100))]
        found = self.query("job", ["id", "status"], numbers)
        self.assertEqual(found[0], [[0, 1], [0, "success"]])

    def test_a_query_for_more_fields_than_there_are_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "1000 fields"):
            self.query("node", ["name"] * (MAX_COLUMNS + 1))

    def test_the_result_of_a_query_as_a_job_can_be_waited_for(self) -> None:
        self.cluster.submit(QueryOpcode(what=Resource.NODE, fields=("name",), qfilter=None))
        self.cluster.finish_jobs()
        wait = self.cluster.master.answers()["WaitForJobChange"]
        changed: Any = self.cluster.wait(wait(1, ["opresult"], None, None, 1))  # type: ignore[arg-type]
        (result,) = changed[0][0]
        self.assertEqual(len(result["data"]), 3)
