# SPDX-License-Identifier: BSD-2-Clause
"""Which iallocator is used, what it gets, and what becomes of its reply."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.operations.allocation.iallocator import (
    advised,
    check_not_both,
    format_request,
    get_allocator_result,
    make_request,
    room,
)
from ganeti.operations.operation import IAllocatorReply, IAllocatorRequest, NodeAnswers
from ganeti.rpc.node import DescribeNode, NodeInfo, StorageSpace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts

REQUEST = {"type": "allocate"}


def replied(answer: str | Failed) -> NodeAnswers:
    return NodeAnswers(advice=IAllocatorReply("mine", answer))


def solution(result: Any) -> NodeAnswers:
    return replied(json.dumps({"success": True, "info": "", "result": result}))


class SelectionTests(SynchronousTestCase):
    def test_without_a_default_the_built_in_one_is_used(self) -> None:
        state = a_cluster(default_iallocator="")
        for asked in (None, "."):
            self.assertIsNone(make_request(asked, REQUEST, state))

    def test_the_default_has_its_parameters_as_options(self) -> None:
        parameters = {"fast": None, "rounds": 2, "off": False}
        state = a_cluster(default_iallocator="mine", default_iallocator_params=parameters)
        options = ["--fast", "--rounds=2", "--off=False"]
        for asked in (None, "."):
            expected = IAllocatorRequest("mine", REQUEST, options)
            self.assertEqual(make_request(asked, REQUEST, state), expected)

    def test_a_named_one_gets_no_options_of_the_default(self) -> None:
        state = a_cluster(default_iallocator="mine", default_iallocator_params={"fast": None})
        for name in ("theirs", "mine"):
            expected = IAllocatorRequest(name, REQUEST, [])
            self.assertEqual(make_request(name, REQUEST, state), expected)

    def test_only_hail_may_be_missing(self) -> None:
        for asked, state in (
            ("hail", a_cluster()),
            (None, a_cluster(default_iallocator="hail")),
        ):
            request = make_request(asked, REQUEST, state)
            assert request is not None
            self.assertTrue(request.optional)

    def test_an_iallocator_and_nodes_exclude_each_other(self) -> None:
        check_not_both(None, ["node1"])
        check_not_both("mine", [None, None])
        check_not_both("mine", [])
        both: list[list[str | None]] = [["node1", None], [None, "node2"]]
        for nodes in both:
            with self.assertRaisesRegex(Refused, "either nodes or an iallocator") as caught:
                check_not_both("mine", nodes)
            self.assertEqual(caught.exception.code, Code.INPUT)


class ChoiceTests(SynchronousTestCase):
    def test_a_node_that_accepts_no_instances_is_refused(self) -> None:
        cases: tuple[tuple[dict[str, Any], str], ...] = (
            ({"offline": True}, "is offline"),
            ({"drained": True}, "is drained"),
            ({"vm_capable": False}, "is not vm_capable"),
        )
        for fields, reason in cases:
            state = a_cluster(nodes=[a_node("node1"), a_node("node2", **fields)])
            with self.assertRaisesRegex(Refused, f"mine chose node node2, which {reason}"):
                advised(solution(["node1", "node2"]), 2, state)

    def test_a_node_cannot_have_both_copies(self) -> None:
        with self.assertRaisesRegex(Refused, "mine chose node node2 twice"):
            advised(solution(["node2", "node2"]), 2, a_cluster(nodes=["node1", "node2"]))


class RequestTests(SynchronousTestCase):
    def node(self, facts: NodeInfo | Failed, **over: Any) -> Any:
        """Return the data of node1 in the input of an iallocator."""
        state = a_cluster(nodes=["node1"], **over)
        answers = NodeAnswers({(uuid_of("node", "node1"), DescribeNode): facts})
        return json.loads(format_request(REQUEST, state, answers))["nodes"]["node1"]

    def test_all_online_nodes_of_all_groups_are_asked(self) -> None:
        state = a_cluster(
            nodes=["node1", a_node("node2", offline=True), a_node("node3", group="far")],
            groups=["default", "far"],
        )
        query = room(state)
        self.assertEqual({node.name for node in query.nodes}, {"node1", "node3"})

    def test_what_is_reserved_is_not_free(self) -> None:
        disk = a_disk("new1/0", Template.PLAIN, nodes=("node1",), size=100, forthcoming=True)
        fields: dict[str, Any] = {"admin_state": AdminState.DOWN, "beparams": {"maxmem": 96}}
        new1 = an_instance("new1", disks=[disk], forthcoming=True, **fields)
        facts = some_facts(memory_free=1000)
        free, less = self.node(facts), self.node(facts, instances=[new1])
        self.assertEqual(less["free_memory"], free["free_memory"] - 96)
        self.assertEqual(less["free_disk"], free["free_disk"] - 100)

    def test_live_data_of_a_node_is_passed_on(self) -> None:
        node = self.node(some_facts(memory_free=1000, memory_node=300, cpus=4, cpus_node=2))
        expected = {
            "total_memory": 32768,
            "reserved_memory": 300,
            "free_memory": 1000,
            "total_cpus": 4,
            "reserved_cpus": 2,
            "offline": False,
        }
        self.assertEqual({key: node[key] for key in expected}, expected)

    def test_a_node_that_failed_to_answer_counts_as_offline(self) -> None:
        node = self.node(Failed("no memory"))
        self.assertEqual((node["offline"], "total_memory" in node), (True, False))

    def test_disk_space_is_that_of_the_storage_that_instances_use(self) -> None:
        units = (
            StorageSpace(kind="lvm-vg", name="vg0", size=500, free=400),
            StorageSpace(kind="file", name="/srv", size=9000, free=8000),
        )
        facts = some_facts(storage=units)
        files = {"enabled_disk_templates": ("file", "diskless")}
        for found, space in (
            (self.node(facts), (500, 400)),
            (self.node(facts, **files), (9000, 8000)),
            (self.node(facts, volume_group_name=None), (9000, 8000)),
            (self.node(some_facts(storage=units[:1]), **files), (500, 400)),
            (self.node(some_facts(storage=())), (0, 0)),
        ):
            self.assertEqual((found["total_disk"], found["free_disk"]), space)


class ReplyTests(SynchronousTestCase):
    state: ClusterState = a_cluster(nodes=["node1", "node2"])

    def test_without_an_external_one_there_is_no_result(self) -> None:
        self.assertIsNone(advised(NodeAnswers(), 1, self.state))
        self.assertIsNone(get_allocator_result(NodeAnswers()))

    def test_chosen_nodes_have_the_order_of_the_reply(self) -> None:
        chosen = advised(solution(["node2", "node1"]), 2, self.state)
        self.assertEqual([node.name for node in chosen or ()], ["node2", "node1"])
        self.assertEqual(get_allocator_result(solution([[], []])), [[], []])

    def test_one_that_is_not_installed_differs_from_one_that_fails(self) -> None:
        for error, words, code in (
            (Failed("no program", Code.UNKNOWN), "mine is not installed; install", Code.UNKNOWN),
            (Failed("exit code 1", Code.ENVIRONMENT), "failed: exit code 1", Code.RESOURCES),
            (Failed("killed"), "iallocator mine failed: killed", Code.RESOURCES),
        ):
            with self.assertRaisesRegex(Refused, words) as caught:
                advised(replied(error), 1, self.state)
            self.assertEqual(caught.exception.code, code)
            with self.assertRaisesRegex(Refused, words):
                get_allocator_result(replied(error))
