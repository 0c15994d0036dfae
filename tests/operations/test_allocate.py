# SPDX-License-Identifier: BSD-2-Clause
"""Several new instances get their places at once, each seeing those before it as taken."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Refused
from ganeti.model.group import AllocPolicy
from ganeti.opcodes.instance.create import AllocateInstances
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.instance.create.multi_allocate import OPERATION
from ganeti.operations.perform import collect_inputs
from ganeti.testing.builders import a_cluster, a_group, a_node
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")
LARGE = {"memory": 5000}
"""More than half of what a node has."""


def order(name: str, **over: Any) -> dict[str, Any]:
    fields = {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": name,
        "mode": "create",
        "disk_template": "diskless",
        "disks": [],
        "nics": [{}],
        "os_type": "noop",
    }
    return {**fields, **over}


def drbd(name: str, **over: Any) -> dict[str, Any]:
    return order(name, disk_template="drbd", disks=[{"size": 64}], **over)


class AllocateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=NODES))

    def do(self, *orders: dict[str, Any], **fields: Any) -> Any:
        work = self.whole.do("OP_INSTANCE_MULTI_ALLOC", instances=list(orders), **fields)
        return self.successResultOf(work)

    def refusal(self, *orders: dict[str, Any], **fields: Any) -> Refused | Invalid:
        work = self.whole.do("OP_INSTANCE_MULTI_ALLOC", instances=list(orders), **fields)
        error = self.failureResultOf(work, Refused, Invalid).value
        assert isinstance(error, Refused | Invalid)
        self.assertEqual(self.whole.memory.submitted, [])
        return error

    def places(self) -> dict[str, list[str | None]]:
        """The nodes that the submitted jobs name."""
        jobs: list[Any] = [op for [op] in self.whole.memory.submitted]
        return {op.instance_name: [op.pnode, op.snode] for op in jobs}

    def test_each_gets_a_place_of_its_own_and_the_last_none(self) -> None:
        names = ("web1", "web2", "web3", "web4")
        result = self.do(*(order(name, beparams=LARGE) for name in names))
        self.assertEqual(
            result,
            {
                "jobs": [[True, 1], [True, 2], [True, 3]],
                "allocatable": ["web1", "web2", "web3"],
                "failed": ["web4"],
            },
        )
        self.assertEqual([self.places()[name][0] for name in names[:3]], list(NODES))
        self.assertIn("cannot allocate nodes for web4: no node can host instance", self.whole.said)
        self.assertIn("3192 MiB of free memory, but 5000 MiB are required", self.whole.said)

    def test_small_ones_spread(self) -> None:
        self.do(*(order(f"web{number}") for number in range(6)))
        taken = [primary for primary, _ in self.places().values()]
        self.assertEqual(sorted(map(str, taken)), sorted(NODES * 2))

    def test_a_group_that_is_the_last_resort_gets_what_fits_nowhere_else(self) -> None:
        spare = a_group("spare", alloc_policy=AllocPolicy.LAST_RESORT)
        nodes = [a_node("node1", group="spare"), a_node("node2")]
        self.whole = WholeCluster(a_cluster(nodes=nodes, groups=["default", spare]))
        self.do(*(order(name, beparams=LARGE) for name in ("web1", "web2")))
        self.assertEqual(self.places(), {"web1": ["node2", None], "web2": ["node1", None]})

    def test_what_a_node_keeps_for_its_peers_is_taken_too(self) -> None:
        self.whole = WholeCluster(a_cluster(nodes=NODES[:2]))
        result = self.do(drbd("db1", beparams=LARGE), drbd("db2", beparams=LARGE))
        self.assertEqual((result["allocatable"], result["failed"]), (["db1"], ["db2"]))
        self.assertIn("reserved for the failure of another node", self.whole.said)

    def test_nodes_that_are_named_stay(self) -> None:
        self.do(
            order("web1", pnode="node3"), order("web2"), drbd("db1", pnode="node2", snode="node3")
        )
        expected = {"web1": ["node3", None], "web2": ["node1", None], "db1": ["node2", "node3"]}
        self.assertEqual(self.places(), expected)

    def test_one_that_can_be_made_nowhere_is_no_reason_to_begin(self) -> None:
        self.do(order("web1"))
        self.whole.memory.submitted.clear()
        self.whole = WholeCluster(a_cluster(nodes=[*NODES, a_node("node4", offline=True)]))
        error = self.refusal(
            order("web1"), order("web2", os_type="plan9"), order("w", pnode="node4")
        )
        told, code = error.arguments()
        self.assertEqual(code, Code.UNKNOWN)
        self.assertIn(
            "no instance was created: web2: OS definition plan9 does not exist on node node", told
        )
        self.assertIn("; w: node node4 cannot host instance w: it is offline", told)

    def test_every_problem_has_its_path(self) -> None:
        error = self.refusal(
            order("web1"),
            drbd("db1", beparams={"vcpus": "many"}),
            order("web2", nics=[{"mac": "x"}]),
        )
        told = str(error)
        self.assertIn("instances[1]/beparams", told)
        self.assertIn("instances[2]/nics[0]/mac", told)
        odd = self.refusal(order("a", iallocator="x"), order("b", mode="import"), order("a"))
        for path in ("instances[0]/iallocator", "instances[1]/mode", "instances[2]/instance_name"):
            self.assertIn(path, str(odd))
        self.assertIn("must not be empty", str(self.refusal()))

    def test_an_external_allocator_is_asked_for_all_at_once(self) -> None:
        placed = [["web1", ["node2"]], ["db1", ["node3", "node1"]]]
        answer = {"success": True, "info": "", "result": [placed, ["web2"]]}
        self.whole.memory.allocators["mine"] = json.dumps(answer)
        orders = (order("web1"), order("web2"), drbd("db1"), order("web3", pnode="node1"))
        result = self.do(*orders, iallocator="mine")
        self.assertEqual(result["failed"], ["web2"])
        self.assertEqual(
            self.places(),
            {"web1": ["node2", None], "db1": ["node3", "node1"], "web3": ["node1", None]},
        )
        [request] = [json.loads(text)["request"] for text in self.whole.memory.requests]
        self.assertEqual(request["type"], "multi-allocate")
        asked = [(each["name"], each["required_nodes"]) for each in request["instances"]]
        self.assertEqual(asked, [("web1", 1), ("web2", 1), ("db1", 2)])

    def test_an_answer_that_makes_no_sense_is_refused(self) -> None:
        for result in ([], [["web1"], []], [[["web1", ["node9"]]], []]):
            answer = {"success": True, "info": "", "result": result}
            self.whole.memory.allocators["mine"] = json.dumps(answer)
            error = self.refusal(order("web1"), iallocator="mine")
            self.assertEqual(error.arguments()[1], Code.ENVIRONMENT)

    def test_a_dry_run_shows_the_places(self) -> None:
        orders = [order("web1"), drbd("db1"), order("big", beparams={"memory": 20000})]
        op = read_opcode({"OP_ID": "OP_INSTANCE_MULTI_ALLOC", "instances": orders})
        assert isinstance(op, AllocateInstances)
        state, tools = self.whole.state, self.whole.tools
        facts = self.successResultOf(collect_inputs(OPERATION, op, state, tools, ""))
        shown = OPERATION.preview(OPERATION.plan(op, state, facts))
        assert isinstance(shown, dict)
        self.assertIn("no node can host instance big", shown.pop("reasons")["big"])
        self.assertEqual(
            shown,
            {
                "jobs": [],
                "allocatable": ["web1", "db1"],
                "failed": ["big"],
                "nodes": {"web1": ["node1"], "db1": ["node2", "node3"]},
            },
        )
