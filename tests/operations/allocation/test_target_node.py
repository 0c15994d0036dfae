# SPDX-License-Identifier: BSD-2-Clause
"""Where an instance may move follows from its disks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, Refused
from ganeti.model.disk import Template
from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.operations.allocation.target_node import (
    destination,
    get_template,
    move_queries,
    possible,
    relocation,
    request_move_allocation,
    require_usable,
)
from ganeti.operations.instance.context import subject_of
from ganeti.operations.operation import IAllocatorReply, NodeAnswers
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts

NODES: Sequence[Node | str] = ["node1", "node2", "node3", a_node("far1", group="far")]


def a_state(template: Template) -> ClusterState:
    """Return a cluster with an instance on node1, and on node2 if its disks are mirrored."""
    nodes = ("node1", "node2") if template is Template.DRBD else ("node1",)
    disks = [a_disk("disk1", template, nodes=nodes)]
    return a_cluster(
        nodes=NODES, groups=["default", "far"], instances=[an_instance("web1", disks=disks)]
    )


def answers(**facts: NodeInfo) -> NodeAnswers:
    return NodeAnswers({(a_node(name).uuid, DescribeNode): info for name, info in facts.items()})


def move(target: str | None = None, iallocator: str | None = None) -> FailoverInstance:
    return FailoverInstance(instance_name="web1", target_node=target, iallocator=iallocator)


class PossibleTests(SynchronousTestCase):
    def names(self, template: Template, target: str | None = None) -> set[str]:
        op, state = move(target), a_state(template)
        return {node.name for node in possible(op, subject_of(op, state), state)}

    def test_mirrored_disks_allow_the_secondary_node_only(self) -> None:
        self.assertEqual(self.names(Template.DRBD), {"node2"})
        self.assertEqual(self.names(Template.DRBD, "node2"), {"node2"})
        with self.assertRaisesRegex(Refused, "gnt-instance replace-disks -n node3 web1"):
            self.names(Template.DRBD, "node3")

    def test_shared_disks_allow_the_group_or_any_node_that_is_named(self) -> None:
        self.assertEqual(self.names(Template.SHAREDFILE), {"node2", "node3"})
        self.assertEqual(self.names(Template.SHAREDFILE, "far1"), {"far1"})

    def test_disks_of_one_node_have_to_be_copied(self) -> None:
        for template in (Template.FILE, Template.PLAIN):
            with self.assertRaisesRegex(Refused, "gnt-instance move -n NODE web1"):
                self.names(template)

    def test_an_instance_does_not_move_to_where_it_is(self) -> None:
        with self.assertRaisesRegex(Refused, "already on node node1"):
            self.names(Template.SHAREDFILE, "node1")

    def test_a_node_and_an_iallocator_exclude_each_other(self) -> None:
        op, state = move("node2", "hail"), a_state(Template.SHAREDFILE)
        with self.assertRaisesRegex(Refused, "not both"):
            possible(op, subject_of(op, state), state)


class DestinationTests(SynchronousTestCase):
    def choose(self, template: Template, facts: NodeAnswers, target: str | None = None) -> str:
        op, state = move(target), a_state(template)
        return destination(op, subject_of(op, state), state, facts).name

    def test_a_node_with_enough_memory_is_chosen(self) -> None:
        full = some_facts(memory_free=1)
        self.assertEqual(
            self.choose(Template.SHAREDFILE, answers(node2=full, node3=some_facts())), "node3"
        )

    def test_if_no_node_is_suitable_the_reason_for_each_is_told(self) -> None:
        full = some_facts(memory_free=1)
        with self.assertRaisesRegex(Refused, "(?s)node2.*node3"):
            self.choose(Template.SHAREDFILE, answers(node2=full, node3=full))

    def test_the_only_possible_node_must_be_usable(self) -> None:
        self.assertEqual(self.choose(Template.DRBD, answers(node2=some_facts())), "node2")
        for fields, option in (
            ({"offline": True}, "--offline=no"),
            ({"drained": True}, "--drained=no"),
            ({"vm_capable": False}, "--vm-capable=yes"),
        ):
            node = replace(a_node("node2"), **fields)
            with self.assertRaisesRegex(Refused, f"so it cannot go there; .*{option} node2"):
                require_usable(node, "it cannot go there")

    def test_a_secondary_node_that_takes_no_instances_is_refused(self) -> None:
        op, state = move(), a_state(Template.DRBD).put(a_node("node2", drained=True))
        with self.assertRaisesRegex(Refused, "node2 is drained, so instance web1 cannot move"):
            destination(op, subject_of(op, state), state, answers(node2=some_facts()))

    def test_the_only_other_node_of_a_group_needs_room_unless_it_is_named(self) -> None:
        state = a_state(Template.SHAREDFILE)
        state, subject = state.remove(state.node("node3")), subject_of(move(), state)
        full = answers(node2=some_facts(memory_free=1))
        with self.assertRaisesRegex(Refused, "no node can host instance web1: node2 has 1 MiB"):
            destination(move(), subject, state, full)
        self.assertEqual(destination(move("node2"), subject, state, full).name, "node2")

    def test_the_only_possible_node_must_answer(self) -> None:
        op, state = move("node2"), a_state(Template.SHAREDFILE)
        gone = NodeAnswers({(uuid_of("node", "node2"), DescribeNode): Failed("no memory")})
        with self.assertRaisesRegex(Refused, "node node2: no memory"):
            destination(op, subject_of(op, state), state, gone)

    def test_the_node_that_an_iallocator_has_chosen_is_used(self) -> None:
        text = json.dumps({"success": True, "info": "", "result": ["node3"]})
        advised = NodeAnswers(answers().answers, advice=IAllocatorReply("mine", text))
        self.assertEqual(self.choose(Template.SHAREDFILE, advised), "node3")

    def test_the_present_node_is_no_target_of_an_iallocator(self) -> None:
        reply = IAllocatorReply("mine", '{"success": true, "info": "", "result": ["node1"]}')
        facts = NodeAnswers(answers().answers, advice=reply)
        with self.assertRaisesRegex(Refused, "chose node node1, where instance web1 cannot move"):
            self.choose(Template.SHAREDFILE, facts)

    def test_of_a_guest_that_keeps_running_the_running_memory_counts(self) -> None:
        op, state = move(), a_state(Template.SHAREDFILE)
        facts = answers(node2=some_facts(memory_free=500), node3=some_facts(memory_free=400))
        grown, shrunk = (GuestState(name="web1", memory=memory, vcpus=1) for memory in (501, 500))
        subject = subject_of(op, state)
        self.assertEqual(destination(op, subject, state, facts, shrunk).name, "node2")
        with self.assertRaisesRegex(Refused, "500 MiB of free memory, but 501 MiB are required"):
            destination(op, subject, state, facts, grown)

    def test_processors_of_a_guest_that_exists_on_paper_only_do_not_count(self) -> None:
        state = a_state(Template.SHAREDFILE).put(a_group(ipolicy={"vcpu-ratio": 1.0}))
        facts, guest = answers(node2=some_facts(cpus=1)), GuestState(name="web1", memory=1, vcpus=2)
        subject = subject_of(move(), state)
        self.assertEqual(destination(move(), subject, state, facts, guest).name, "node2")

    def test_a_node_is_chosen_within_the_policy_of_its_group_unless_that_is_ignored(self) -> None:
        state = a_state(Template.SHAREDFILE)
        state = state.put(a_group("default", ipolicy={"disk-templates": ["plain"]}))
        facts, op = answers(node2=some_facts(), node3=some_facts()), move()
        with self.assertRaisesRegex(Refused, "node2 is in group default, whose instance policy"):
            destination(op, subject_of(op, state), state, facts)
        op = replace(op, ignore_ipolicy=True)
        self.assertEqual(destination(op, subject_of(op, state), state, facts).name, "node2")

    def test_the_policy_of_another_group_can_be_ignored(self) -> None:
        state = a_state(Template.SHAREDFILE)
        state = state.put(a_group("far", ipolicy={"disk-templates": ["plain"]}))
        facts, op = answers(far1=some_facts()), move("far1")
        with self.assertRaisesRegex(Refused, "violates the instance policy"):
            destination(op, subject_of(op, state), state, facts)
        op = replace(op, ignore_ipolicy=True)
        self.assertEqual(destination(op, subject_of(op, state), state, facts).name, "far1")


class QueryTests(SynchronousTestCase):
    def asked(self, template: Template, state: ClusterState | None = None) -> list[set[str]]:
        op, found = move(), state or a_state(template)
        queries = move_queries(op, subject_of(op, found), found)
        return [{node.name for node in query.nodes} for query in queries]

    def test_the_node_of_the_instance_and_its_targets_are_asked(self) -> None:
        self.assertEqual(self.asked(Template.SHAREDFILE), [{"node1", "node2", "node3"}])
        self.assertEqual(self.asked(Template.DRBD)[0], {"node1", "node2"})

    def test_offline_nodes_are_not_asked(self) -> None:
        state = a_state(Template.SHAREDFILE).put(a_node("node2", offline=True))
        self.assertEqual(self.asked(Template.SHAREDFILE, state), [{"node1", "node3"}])

    def test_only_copies_that_are_active_are_asked_for_their_state(self) -> None:
        self.assertEqual(len(self.asked(Template.DRBD)), 2)
        state = a_state(Template.DRBD)
        inactive = replace(state.instance("web1"), disks_active=False)
        self.assertEqual(len(self.asked(Template.DRBD, state.put(inactive))), 1)

    def test_an_instance_without_disks_is_diskless(self) -> None:
        state = a_cluster(instances=["web1"])
        self.assertIs(get_template(subject_of(move(), state)), Template.DISKLESS)
        self.assertIs(get_template(subject_of(move(), a_state(Template.RBD))), Template.RBD)


class RequestTests(SynchronousTestCase):
    def test_an_iallocator_is_asked_only_if_there_is_a_choice(self) -> None:
        for template, target, asked in (
            (Template.SHAREDFILE, None, True),
            (Template.SHAREDFILE, "node2", False),
            (Template.DRBD, None, False),
        ):
            op = move(target, None if target else "hail")
            request = request_move_allocation(op, a_state(template), NodeAnswers())
            self.assertEqual(request is not None, asked, (template, target))

    def test_a_relocation_names_the_nodes_to_leave_and_the_space(self) -> None:
        op, state = move(), a_state(Template.SHAREDFILE)
        subject = subject_of(op, state)
        self.assertEqual(
            relocation(subject, [subject.primary]),
            {
                "type": "relocate",
                "name": "web1",
                "disk_space_total": 1024,
                "required_nodes": 1,
                "relocate_from": ["node1"],
            },
        )
