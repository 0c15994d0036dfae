# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that evacuate instances from a node, and the resources that each allocation takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.operations.allocation.allocation_request import Placement
from ganeti.operations.allocation.evacuation import (
    Evacuation,
    RemainingResources,
    by_name,
    capacity_queries,
    choose_primary,
    make_secondary_replacement,
    moving,
    others,
)
from ganeti.operations.allocation.policy_check import PolicySize
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import DescribeNode, NodeInfo, StorageSpace
from ganeti.schema.records import replace
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.facts import some_facts

SPECS = ("cpu-count", "disk-count", "disk-size", "memory-size", "nic-count", "spindle-use")
Known: TypeAlias = Mapping[str, NodeInfo]
NODES = ("node1", "node2", "node3")


def room(memory: int, disk: int = 1 << 19) -> NodeInfo:
    """Return the data of a node with this much free memory and space in its volume group."""
    units = (StorageSpace(kind="lvm-vg", name="vg0", size=1 << 20, free=disk),)
    return some_facts(memory_free=memory, storage=units)


def resources(state: ClusterState, *nodes: str, **known: NodeInfo) -> RemainingResources:
    """Return the resources of these nodes; those that are not ``known`` do not answer."""
    facts = NodeAnswers({(uuid_of("node", name), DescribeNode): known[name] for name in known})
    return RemainingResources(state, [state.node(name) for name in nodes or known], facts)


def a_wish(**over: Any) -> Placement:
    fields: dict[str, Any] = {
        "name": "web1",
        "memory": 1000,
        "vcpus": 1,
        "disks": (),
        "template": Template.SHAREDFILE,
        "wanted": 1,
    }
    return Placement(**{**fields, **over})


def mirrored(name: str = "db1", number: int = 1, **over: Any) -> Built:
    disk = a_disk(f"disk{number}", Template.DRBD, nodes=("node1", "node2"), size=100)
    return an_instance(name, disks=[disk], **over)


class RemainingResourcesTests(SynchronousTestCase):
    state = a_cluster(nodes=NODES)

    def names(self, places: RemainingResources, count: int, wish: Placement) -> list[str]:
        return [places.allocate(wish).name for _ in range(count)]

    def test_each_allocation_counts_for_the_next_ones(self) -> None:
        places = resources(self.state, node2=room(2500), node3=room(2000))
        self.assertEqual(self.names(places, 4, a_wish()), ["node2", "node3", "node2", "node3"])
        words = "(?s)node2 has 500 MiB of free memory.*node3 has 0 MiB of free memory"
        with self.assertRaisesRegex(Refused, words):
            places.allocate(a_wish())

    def test_disk_space_is_allocated_with_the_metadata_of_mirrored_disks(self) -> None:
        wish = a_wish(memory=0, disks=(100,), template=Template.DRBD)
        places = resources(self.state, node2=room(1000, disk=2 * 228))
        self.assertEqual(self.names(places, 2, wish), ["node2", "node2"])
        with self.assertRaisesRegex(Refused, "0 MiB of free disk space, but 228 MiB are required"):
            places.allocate(wish)

    def test_among_equal_nodes_those_with_fewer_allocations_come_first(self) -> None:
        places = resources(self.state, node2=room(9000), node3=room(9000))
        self.assertEqual(self.names(places, 3, a_wish(memory=0)), ["node2", "node3", "node2"])
        state = a_cluster(nodes=NODES, instances=[an_instance("web9", node="node3")])
        places = resources(state, node2=room(9000), node3=room(9000))
        self.assertEqual(self.names(places, 3, a_wish(memory=0)), ["node2", "node2", "node3"])

    def test_processors_are_allocated_where_an_instance_will_run(self) -> None:
        state = a_cluster(nodes=NODES, groups=[a_group(ipolicy={"vcpu-ratio": 1.0})])
        places = resources(state, node2=replace(room(9000), cpus=4))
        for runs_there in (False, False, True, True):
            places.allocate(a_wish(vcpus=2), runs_there=runs_there)
        with self.assertRaisesRegex(Refused, "node2 has 4 virtual processors on 4 CPUs"):
            places.allocate(a_wish(vcpus=2))

    def test_a_failed_allocation_takes_nothing(self) -> None:
        places = resources(self.state, node2=room(1500))
        with self.assertRaises(Refused):
            places.allocate(a_wish(memory=2000))
        self.assertEqual(places.allocate(a_wish()).name, "node2")

    def test_a_requested_node_need_not_be_among_the_others(self) -> None:
        places = resources(self.state, "node2", node2=room(9000), node3=room(1000))
        node3 = self.state.node("node3")
        self.assertEqual(places.allocate(a_wish(), node3), node3)
        with self.assertRaisesRegex(Refused, "node3 has 0 MiB of free memory"):
            places.allocate(a_wish(), node3)

    def test_a_node_without_an_answer_gets_nothing(self) -> None:
        with self.assertRaisesRegex(Refused, "node2 does not answer"):
            resources(self.state, "node2").allocate(a_wish())

    def test_a_node_that_has_the_disks_needs_memory_only(self) -> None:
        places = resources(self.state, node2=room(1500, disk=0))
        wish = a_wish(disks=(100,), template=Template.DRBD)
        node1, node2 = self.state.node("node1"), self.state.node("node2")
        places.require(wish, node2, node1)
        with self.assertRaisesRegex(Refused, "500 MiB of free memory"):
            places.require(wish, node2, node1)


class GroupAllocationTests(SynchronousTestCase):
    size = PolicySize(memory=1000, vcpus=1, disks=[100], nics=1, spindles=1, template=Template.DRBD)
    wish = a_wish(disks=(100,), template=Template.DRBD, wanted=2)

    def cluster(self, *groups: Group | str) -> ClusterState:
        nodes = [a_node(name, group="new") for name in ("node1", "node2")]
        return a_cluster(nodes=[*nodes, "node3"], groups=groups)

    def test_nodes_of_other_groups_are_not_used(self) -> None:
        small = {"min": dict.fromkeys(SPECS, 0), "max": dict.fromkeys(SPECS, 9999)}
        state = self.cluster("default", a_group("new", ipolicy={"minmax": [small]}))
        known = {"node1": room(9000), "node2": room(2500), "node3": room(9000)}
        places = resources(state, **known)
        chosen = places.take_in(state.group("new"), self.wish, self.size)
        self.assertEqual([node.name for node in chosen], ["node1", "node2"])
        places.take_in(state.group("new"), self.wish, self.size)
        with self.assertRaisesRegex(Refused, "only one node can host .*: node2 has 500 MiB"):
            places.take_in(state.group("new"), self.wish, self.size)

    def test_processors_are_allocated_on_the_first_of_two_nodes_only(self) -> None:
        small = {"min": dict.fromkeys(SPECS, 0), "max": dict.fromkeys(SPECS, 9999)}
        policy = {"minmax": [small], "vcpu-ratio": 1.0}
        state = self.cluster("default", a_group("new", ipolicy=policy))
        known = {"node1": room(9000), "node2": room(8000)}
        places = resources(state, **{name: replace(known[name], cpus=1) for name in known})
        for runs_there in (False, True):
            places.take_in(state.group("new"), self.wish, self.size, runs_there=runs_there)
        words = "only one node can host .*: node1 has 1 virtual processors on 1 CPUs"
        with self.assertRaisesRegex(Refused, words):
            places.take_in(state.group("new"), self.wish, self.size)

    def test_the_policy_of_the_group_is_checked(self) -> None:
        state = self.cluster("default", a_group("new", ipolicy={"disk-templates": ["plain"]}))
        places = resources(state, node1=room(9000), node2=room(9000))
        words = "is in group new, whose instance policy is violated: disk template drbd is not"
        with self.assertRaisesRegex(Refused, words):
            places.take_in(state.group("new"), self.wish, self.size)


class PrimaryTests(SynchronousTestCase):
    def choose(
        self, built: Built, known: Known, asked: str | None = None, second: Node | None = None
    ) -> str:
        state = a_cluster(nodes=["node1", second or "node2", "node3"], instances=[built])
        places = resources(state, "node2", "node3", **known)
        wanted = None if asked is None else state.node(asked)
        node = state.node("node1")
        return choose_primary(built.instance, node, places, state, wanted).name

    def test_mirrored_disks_leave_the_secondary_node_only(self) -> None:
        known = {"node2": room(1000, disk=0), "node3": room(9000)}
        self.assertEqual(self.choose(mirrored(), known), "node2")
        self.assertEqual(self.choose(mirrored(), known, "node2"), "node2")
        with self.assertRaisesRegex(Refused, "its secondary node is node2, and it can only move"):
            self.choose(mirrored(), known, "node3")

    def test_a_secondary_node_that_is_offline_or_full_is_refused(self) -> None:
        offline = a_node("node2", offline=True)
        with self.assertRaisesRegex(Refused, "node2 is offline, so it cannot move there"):
            self.choose(mirrored(), {"node3": room(9000)}, second=offline)
        with self.assertRaisesRegex(Refused, "but 128 MiB are required"):
            self.choose(mirrored(), {"node2": room(100)})

    def test_memory_that_is_reserved_for_the_instances_is_theirs(self) -> None:
        sizes = {"minmem": 1000, "maxmem": 1000}
        pairs = [mirrored(f"db{each}", each, beparams=sizes) for each in (1, 2)]
        disk = a_disk("disk3", Template.DRBD, nodes=("node3", "node2"), size=100)
        other = an_instance("db3", node="node3", disks=[disk], beparams=sizes)
        for instances, free in ((pairs, 2000), ([*pairs, other], 3000)):
            state = a_cluster(nodes=NODES, instances=instances)
            places, node1 = resources(state, node2=room(free)), state.node("node1")
            for each in pairs:
                target = choose_primary(each.instance, node1, places, state, None)
                self.assertEqual(target.name, "node2")
        # What is reserved for a failure of node3 stays reserved.
        places = resources(state, node2=room(1999))
        with self.assertRaisesRegex(Refused, "besides the 1000 MiB reserved"):
            choose_primary(pairs[0].instance, node1, places, state, None)

    def test_shared_disks_leave_the_best_node_of_all(self) -> None:
        shared = an_instance(disks=[a_disk("disk1", Template.SHAREDFILE)])
        known = {"node2": room(1000), "node3": room(9000)}
        self.assertEqual(self.choose(shared, known), "node3")
        self.assertEqual(self.choose(shared, known, "node2"), "node2")

    def test_disks_of_one_node_have_to_be_copied(self) -> None:
        plain = an_instance(disks=[a_disk("disk1", Template.PLAIN)])
        words = "its plain disks are only on node1; use gnt-instance move"
        with self.assertRaisesRegex(Refused, words):
            self.choose(plain, {"node2": room(9000)})


class OpcodeTests(SynchronousTestCase):
    def test_a_running_instance_on_an_online_node_is_migrated(self) -> None:
        up, node2 = an_instance("web1").instance, a_node("node2")
        self.assertEqual(
            moving(up, a_node("node1"), node2, True),
            MigrateInstance(instance_name="web1", target_node="node2", allow_failover=True),
        )
        self.assertEqual(
            moving(up, a_node("node1"), node2, False),
            MigrateInstance(instance_name="web1", allow_failover=True),
        )

    def test_others_fail_over(self) -> None:
        up = an_instance("web1").instance
        expected = FailoverInstance(instance_name="web1", target_node="node2")
        self.assertEqual(moving(up, a_node("node1", offline=True), a_node("node2"), True), expected)
        for admin_state in (AdminState.DOWN, AdminState.OFFLINE):
            still = an_instance("web1", admin_state=admin_state).instance
            self.assertEqual(moving(still, a_node("node1"), a_node("node2"), True), expected)

    def replace(self, known: Known, asked: str | None = None) -> ReplaceDisks:
        built = mirrored(beparams={"minmem": 128, "maxmem": 1000})
        state = a_cluster(nodes=[*NODES, "node4"], instances=[built])
        names, wanted = ("node1", "node3", "node4"), None if asked is None else state.node(asked)
        leaves, primary = state.node("node2"), state.node("node1")
        opcode = make_secondary_replacement(
            built.instance,
            leaves,
            primary,
            resources(state, *names, **known),
            state,
            wanted,
            early=True,
        )
        assert isinstance(opcode, ReplaceDisks)
        return opcode

    def test_a_new_secondary_node_is_neither_of_the_two_nodes(self) -> None:
        known = {"node1": room(9000), "node3": room(2000), "node4": room(3000)}
        expected = ReplaceDisks(
            instance_name="db1",
            mode=ReplacementMode.NEW_SECONDARY,
            remote_node="node4",
            early_release=True,
        )
        self.assertEqual(self.replace(known), expected)
        self.assertEqual(self.replace(known, "node3").remote_node, "node3")
        with self.assertRaisesRegex(Refused, "node1 is excluded by the request"):
            self.replace(known, "node1")

    def test_the_processors_of_a_new_secondary_node_stay_free(self) -> None:
        pairs = [mirrored(f"db{each}", each, hypervisor="kvm") for each in (1, 2)]
        tight = a_group(ipolicy={"vcpu-ratio": 1.0})
        state = a_cluster(nodes=NODES, groups=[tight], instances=pairs)
        places = resources(state, node3=replace(room(9000), cpus=1))
        leaves, primary = state.node("node2"), state.node("node1")
        for each in pairs:
            make_secondary_replacement(
                each.instance, leaves, primary, places, state, None, early=False
            )

    def test_a_new_secondary_node_has_space_and_memory_for_a_failover(self) -> None:
        known = {"node3": room(9000, disk=227), "node4": room(999)}
        words = "(?s)node3 has 227 MiB of free disk.*node4 has 999 MiB of free memory"
        with self.assertRaisesRegex(Refused, words):
            self.replace(known)


class QueryTests(SynchronousTestCase):
    def test_the_other_online_nodes_of_the_group_are_asked(self) -> None:
        state = a_cluster(
            nodes=[*NODES, a_node("node4", offline=True), a_node("node5", group="far")],
            groups=["default", "far"],
        )
        found = {node.name for node in others(state.node("node1"), state)}
        self.assertEqual(found, {"node2", "node3", "node4"})
        [query] = capacity_queries(state.node("node1"), state)
        self.assertEqual({node.name for node in query.nodes}, {"node2", "node3"})
        assert isinstance(query.call, DescribeNode)
        self.assertEqual(query.call.hypervisors, ("fake", "kvm"))
        self.assertIn(("lvm-vg", "vg0"), query.call.storage)

    def test_nodes_of_other_groups_are_asked_if_they_are_named_or_have_copies(self) -> None:
        far = [a_node(name, group="far") for name in ("far1", "far2", "far3")]
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "far1"))
        split = an_instance("db1", disks=[disk])
        state = a_cluster(
            nodes=["node1", "node2", *far], groups=["default", "far"], instances=[split]
        )
        for named in ("far2", uuid_of("node", "far2")):
            [query] = capacity_queries(state.node("node1"), state, named)
            self.assertEqual([node.name for node in query.nodes], ["node2", "far1", "far2"])

    def test_instances_are_evacuated_in_the_order_of_their_names(self) -> None:
        found = by_name([an_instance(name).instance for name in ("b", "c", "a")])
        self.assertEqual([instance.name for instance in found], ["a", "b", "c"])

    def test_each_stuck_instance_has_its_reason(self) -> None:
        stuck = (("web1", "it is large"), ("web2", "it is local"))
        told = Evacuation(a_node("node1"), stuck=stuck).told()
        self.assertEqual(told, "web1: it is large; web2: it is local")
