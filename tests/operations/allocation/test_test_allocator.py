# SPDX-License-Identifier: BSD-2-Clause
"""The operation that shows what an iallocator gets or returns, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Template
from ganeti.opcodes.choices import EvacuationMode, Hypervisor
from ganeti.opcodes.test import AllocatorDirection, AllocatorMode
from ganeti.opcodes.test import TestAllocator as ShowAllocator
from ganeti.operations.allocation import test_allocator as operation
from ganeti.operations.allocation.iallocator import room
from ganeti.operations.operation import IAllocatorReply, IAllocatorRequest, NodeAnswers
from ganeti.rpc.node import DescribeNode, StorageSpace
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

IN, OUT = AllocatorDirection.IN, AllocatorDirection.OUT


def show(mode: AllocatorMode, direction: AllocatorDirection = IN, **fields: Any) -> ShowAllocator:
    return ShowAllocator(**{"mode": mode, "direction": direction, "name": "new1", **fields})


def cluster() -> ClusterState:
    """Return db1, mirrored on node1 and node2; node3 is in the same group, node4 in far."""
    disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"), size=100)
    return a_cluster(
        nodes=["node1", "node2", "node3", a_node("node4", group="far")],
        groups=["default", "far"],
        instances=[an_instance("db1", disks=[disk]), an_instance("web1", node="node3")],
    )


def facts(**free: int) -> NodeAnswers:
    """Return the answers of nodes with this much free memory."""
    volumes = (StorageSpace(kind="lvm-vg", name="vg0", size=9000, free=9000),)
    return NodeAnswers(
        {
            (uuid_of("node", name), DescribeNode): some_facts(memory_free=each, storage=volumes)
            for name, each in free.items()
        }
    )


class InputTests(SynchronousTestCase):
    def request(self, op: ShowAllocator) -> Any:
        """Return the request in the input that is shown, which is the one that is sent."""
        plan = operation.plan(op, cluster(), facts(node1=1000))
        document = json.loads(plan.text)
        self.assertIn("total_memory", document["nodes"]["node1"])
        return document["request"]

    def test_a_new_instance_has_the_sizes_of_the_request(self) -> None:
        op = show(
            AllocatorMode.ALLOCATE,
            disk_template=Template.DRBD,
            disks=({"size": 100}, {"size": 50}),
            nics=({},),
            memory=512,
            vcpus=3,
            spindle_use=2,
            tags=("a",),
            os="noop",
            hypervisor=Hypervisor.KVM,
            group_name="far",
        )
        expected = {
            "type": "allocate",
            "name": "new1",
            "disk_template": "drbd",
            "group_name": "far",
            "tags": ["a"],
            "os": "noop",
            "vcpus": 3,
            "memory": 512,
            "spindle_use": 2,
            "disks": [{"size": 100}, {"size": 50}],
            "disk_space_total": 150 + 2 * 128,
            "nics": [{}],
            "required_nodes": 2,
            "hypervisor": "kvm",
        }
        self.assertEqual(self.request(op), expected)

    def test_sizes_that_are_not_given_are_those_of_the_cluster(self) -> None:
        state = cluster()
        request = self.request(show(AllocatorMode.ALLOCATE))
        self.assertEqual((request["memory"], request["vcpus"], request["spindle_use"]), (128, 1, 1))
        self.assertEqual(request["disk_template"], state.cluster.enabled_disk_templates[0])
        self.assertEqual(request["hypervisor"], "fake")
        nothing = self.request(show(AllocatorMode.ALLOCATE, memory=0, vcpus=0))
        self.assertEqual((nothing["memory"], nothing["vcpus"]), (0, 0))

    def test_several_instances_are_numbered(self) -> None:
        op = show(AllocatorMode.MULTI_ALLOCATE, count=3, disk_template=Template.DISKLESS)
        request = self.request(op)
        self.assertEqual(request["type"], "multi-allocate")
        names = [each["name"] for each in request["instances"]]
        self.assertEqual(names, ["new1-0", "new1-1", "new1-2"])
        self.assertEqual({each["required_nodes"] for each in request["instances"]}, {1})

    def test_a_mirrored_instance_leaves_its_secondary_node_and_others_their_node(self) -> None:
        for name, space, node in (("db1", 228, "node2"), ("web1", 0, "node3")):
            expected = {
                "type": "relocate",
                "name": name,
                "disk_space_total": space,
                "required_nodes": 1,
                "relocate_from": [node],
            }
            self.assertEqual(self.request(show(AllocatorMode.RELOCATE, name=name)), expected)

    def test_an_evacuation_needs_its_mode(self) -> None:
        op = show(AllocatorMode.NODE_EVACUATE, name="db1", evac_mode=EvacuationMode.ALL)
        expected = {"type": "node-evacuate", "instances": ["db1"], "evac_mode": "all"}
        self.assertEqual(self.request(op), expected)
        with self.assertRaisesRegex(Refused, "evac_mode is required") as caught:
            self.request(show(AllocatorMode.NODE_EVACUATE, name="db1"))
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_groups_are_named_by_their_uuids(self) -> None:
        op = show(AllocatorMode.CHANGE_GROUP, instances=("web1", "db1"), target_groups=("far",))
        groups = [uuid_of("group", "far")]
        expected = {"type": "change-group", "instances": ["web1", "db1"], "target_groups": groups}
        self.assertEqual(self.request(op), expected)

    def test_a_second_node_is_for_an_instance(self) -> None:
        op = show(AllocatorMode.ALLOCATE_SECONDARY, name="web1")
        self.assertEqual(self.request(op), {"type": "allocate-secondary", "name": "web1"})

    def test_names_are_checked_as_the_mode_needs(self) -> None:
        with self.assertRaisesRegex(Refused, "instance db1 already exists"):
            self.request(show(AllocatorMode.ALLOCATE, name="db1"))
        for mode in (AllocatorMode.RELOCATE, AllocatorMode.CHANGE_GROUP):
            with self.assertRaises(Refused) as caught:
                self.request(show(mode, name="web9"))
            self.assertEqual(caught.exception.code, Code.UNKNOWN)


class OutputTests(SynchronousTestCase):
    def text(self, op: ShowAllocator, answers: NodeAnswers) -> str:
        return operation.plan(op, cluster(), answers).text

    def test_only_for_its_output_an_iallocator_is_run(self) -> None:
        op = show(AllocatorMode.ALLOCATE_SECONDARY, name="web1", iallocator="mine")
        self.assertIsNone(operation.request_allocation(op, cluster(), NodeAnswers()))
        op = show(AllocatorMode.ALLOCATE_SECONDARY, OUT, name="web1", iallocator="mine")
        request = {"type": "allocate-secondary", "name": "web1"}
        expected = IAllocatorRequest("mine", request, [])
        self.assertEqual(operation.request_allocation(op, cluster(), NodeAnswers()), expected)
        self.assertEqual(operation.questions(op, cluster()), [room(cluster())])

    def test_its_output_is_shown_as_it_is(self) -> None:
        answers = NodeAnswers(advice=IAllocatorReply("mine", "not JSON"))
        op = show(AllocatorMode.RELOCATE, OUT, name="db1", iallocator="mine")
        self.assertEqual(self.text(op, answers), "not JSON")
        plan, memory = operation.plan(op, cluster(), answers), MemoryTools(cluster())
        self.assertEqual(self.successResultOf(operation.run(plan, memory.tools)), "not JSON")
        self.assertEqual((plan.locks, memory.nodes.asked), ({}, []))

    def test_its_failure_has_a_code_in_any_case(self) -> None:
        op = show(AllocatorMode.RELOCATE, OUT, name="db1", iallocator="mine")
        for error, code in (
            (Failed("not installed", Code.UNKNOWN), Code.UNKNOWN),
            (Failed("killed"), Code.RESOURCES),
        ):
            answers = NodeAnswers(advice=IAllocatorReply("mine", error))
            with self.assertRaisesRegex(Refused, f"iallocator mine: {error}") as caught:
                self.text(op, answers)
            self.assertEqual(caught.exception.code, code)


class BuiltInTests(SynchronousTestCase):
    def lines(self, op: ShowAllocator, **free: int) -> list[str]:
        return operation.plan(op, cluster(), facts(**free)).text.splitlines()

    def test_a_new_instance_has_a_line_for_every_node(self) -> None:
        sizes = {"memory": 512, "disk_template": Template.DRBD, "disks": ({"size": 2000},)}
        op = show(AllocatorMode.ALLOCATE, OUT, nics=({},), **sizes)
        lines = self.lines(op, node1=1000, node2=2000, node3=100, node4=9000)
        self.assertTrue(lines[0].startswith("node2: chosen, has 2000 MiB of free memory"), lines)
        self.assertTrue(lines[1].startswith("node1: chosen, has 1000 MiB of free memory"), lines)
        self.assertTrue(lines[2].startswith("node4: suitable"), lines)
        expected = "node3: has 100 MiB of free memory, but 512 MiB are required"
        self.assertEqual(lines[3:], [expected])

    def test_a_group_that_is_named_excludes_the_others(self) -> None:
        op = show(
            AllocatorMode.ALLOCATE,
            OUT,
            disk_template=Template.DISKLESS,
            nics=({},),
            group_name="far",
        )
        first, *rest = self.lines(op, node1=1000, node2=1000, node3=1000, node4=1000)
        self.assertTrue(first.startswith("node4: chosen"))
        expected = [f"node{n}: is in another node group" for n in (1, 2, 3)]
        self.assertEqual(rest, expected)

    def test_the_policy_is_checked_for_new_instances_only(self) -> None:
        strict = a_group("default", ipolicy={"disk-templates": ["plain"]})
        state, answers = cluster().put(strict), facts(node1=1000, node2=1000, node3=1000)
        op = show(AllocatorMode.ALLOCATE, OUT, disk_template=Template.DISKLESS, nics=({},))
        text = operation.plan(op, state, answers).text
        self.assertEqual(text.count("disk template diskless is not allowed"), 3)
        again = operation.plan(show(AllocatorMode.RELOCATE, OUT, name="db1"), state, answers)
        self.assertTrue(again.text.startswith("node3: chosen"), again.text)

    def test_an_instance_is_relocated_within_its_group(self) -> None:
        op = show(AllocatorMode.RELOCATE, OUT, name="db1")
        first, *rest = self.lines(op, node1=1000, node2=1000, node3=1000, node4=1000)
        self.assertTrue(first.startswith("node3: chosen"))
        self.assertEqual(rest, [f"node{n}: is excluded by the request" for n in (1, 2)])

    def test_other_modes_have_their_own_dry_run(self) -> None:
        op = show(AllocatorMode.CHANGE_GROUP, OUT, name="db1")
        with self.assertRaisesRegex(Refused, "cannot be tested with mode change-group; use --dry-"):
            self.lines(op)
