# SPDX-License-Identifier: BSD-2-Clause
"""The size of existing instances, for policies and for their allocation to other nodes."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.operations.allocation.allocation_request import Placement
from ganeti.operations.allocation.policy_check import PolicySize
from ganeti.operations.allocation.sizes import check_group_policy, make_placement, size_of
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)

SIZES = {"minmem": 256, "maxmem": 1024, "vcpus": 2, "spindle_use": 3}


def built(template: Template = Template.PLAIN, **over: Any) -> Built:
    disks = [a_disk(f"disk{n}", template, nodes=("node1", "node2"), size=100) for n in (1, 2)]
    return an_instance(disks=disks, **{"beparams": SIZES, **over})


def state_of(one: Built) -> ClusterState:
    return a_cluster(nodes=["node1", "node2"], instances=[one])


class SizeTests(SynchronousTestCase):
    def test_an_instance_has_the_maximum_of_its_memory(self) -> None:
        one = built(nics=(a_nic("a"), a_nic("b")))
        expected = PolicySize(
            memory=1024, vcpus=2, disks=[100, 100], nics=2, spindles=3, template=Template.PLAIN
        )
        self.assertEqual(size_of(one.instance, one.disks, state_of(one)), expected)

    def test_what_an_instance_does_not_set_is_that_of_the_cluster(self) -> None:
        one = built(beparams={"vcpus": 2})
        size = size_of(one.instance, one.disks, state_of(one))
        self.assertEqual((size.memory, size.vcpus, size.spindles), (128, 2, 1))

    def test_an_instance_is_measured_with_the_disks_that_it_will_have(self) -> None:
        one = built()
        disks = [a_disk("new1", Template.SHAREDFILE, size=7)]
        size = size_of(one.instance, disks, state_of(one))
        self.assertEqual((size.disks, size.template), ([7], Template.SHAREDFILE))
        self.assertEqual(size_of(one.instance, [], state_of(one)).template, Template.DISKLESS)


class PolicyTests(SynchronousTestCase):
    def test_the_policy_is_that_of_the_group_of_the_node(self) -> None:
        one = built()
        small = a_group("small", ipolicy={"disk-templates": ["drbd"]})
        node2 = a_node("node2", group="small")
        state = a_cluster(nodes=["node1", node2], groups=["default", small], instances=[one])
        large = [a_disk("disk9", Template.PLAIN, size=1024)]
        check_group_policy(state.node("node1"), one.instance, large, state)
        words = "instance web1 violates the instance policy: disk template plain is not allowed"
        with self.assertRaisesRegex(Refused, words):
            check_group_policy(state.node("node2"), one.instance, large, state)


class PlacementTests(SynchronousTestCase):
    def wish(self, template: Template, state: AdminState, *, runs_there: bool) -> tuple[int, int]:
        """Return the memory and the number of disks that are needed on the other node."""
        one = built(template, admin_state=state)
        found = make_placement(one.instance, one.disks, state_of(one), runs_there=runs_there)
        return found.memory, len(found.disks)

    def test_memory_is_needed_where_the_instance_runs_now_or_after_a_failover(self) -> None:
        for template, runs_there, memory in (
            (Template.PLAIN, True, 1024),
            (Template.PLAIN, False, 0),
            (Template.DRBD, True, 1024),
            (Template.DRBD, False, 1024),
        ):
            found = self.wish(template, AdminState.UP, runs_there=runs_there)
            self.assertEqual(found, (memory, 2), (template, runs_there))

    def test_a_stopped_instance_needs_no_memory(self) -> None:
        for state in (AdminState.DOWN, AdminState.OFFLINE):
            self.assertEqual(self.wish(Template.DRBD, state, runs_there=True), (0, 2))

    def test_shared_disks_need_no_space(self) -> None:
        found = self.wish(Template.SHAREDFILE, AdminState.UP, runs_there=True)
        self.assertEqual(found, (1024, 0))

    def test_a_guest_that_exists_on_paper_only_needs_no_processors(self) -> None:
        for hypervisor, vcpus in (("kvm", 2), ("fake", 0)):
            one = built(hypervisor=hypervisor)
            found = make_placement(one.instance, one.disks, state_of(one))
            self.assertEqual(found.vcpus, vcpus, hypervisor)

    def test_one_other_node_is_wanted(self) -> None:
        one, node1 = built(Template.DRBD, hypervisor="kvm"), uuid_of("node", "node1")
        group = uuid_of("group", "default")
        expected = Placement(
            name="web1",
            memory=1024,
            vcpus=2,
            disks=[100, 100],
            template=Template.DRBD,
            wanted=1,
            away_from=frozenset({node1}),
            group=group,
        )
        found = make_placement(
            one.instance, one.disks, state_of(one), away_from=[node1, node1], group=group
        )
        self.assertEqual(found, expected)
