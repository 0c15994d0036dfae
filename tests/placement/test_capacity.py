# SPDX-License-Identifier: BSD-2-Clause
"""Capacity counts the instances that fit with their reserves, and says what stops the next one."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.capacity import GroupCapacity, Limit, Size, compute_capacity
from ganeti.placement.cluster_model import InstanceModel, NodeModel, NodeState, Storage
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared


def a_size(storage: Storage, **given: object) -> Size:
    values = {"name": "standard", "memory": 16384, "disk": 0, "vcpus": 1, "groups": ("default",)}
    return Size(storage=storage, **{**values, **given})  # type: ignore[arg-type]  # as the test says


def ask(size: Size, nodes: Sequence[NodeModel], *instances: InstanceModel) -> GroupCapacity:
    [found] = compute_capacity(a_cluster_model(nodes, instances), [size]).sizes
    return found.groups[0]


THREE = [a_node_model(f"node{number}") for number in (1, 2, 3)]


class CapacityTests(SynchronousTestCase):
    def test_local_instances_use_all_memory(self) -> None:
        found = ask(a_size(Storage.LOCAL), THREE)
        self.assertEqual((found.count, found.limits), (12, {Limit.MEMORY.value: 3}))

    def test_of_shared_instances_those_of_any_node_fit_on_the_others(self) -> None:
        found = ask(a_size(Storage.SHARED), THREE)
        self.assertEqual((found.count, found.limits), (8, {Limit.RESERVE.value: 3}))

    def test_the_largest_instance_must_be_able_to_restart(self) -> None:
        large = a_shared("large", "node1", memory=50000)
        found = ask(a_size(Storage.SHARED), THREE, large)
        self.assertEqual(found.count, 4)  # none on one of the other nodes, which is kept for it

    def test_mirrored_instances_reserve_memory_on_their_secondary_nodes(self) -> None:
        found = ask(a_size(Storage.MIRRORED), THREE)
        # Two nodes run four each, which are mirrored to the third; that needs all its memory.
        self.assertEqual((found.count, found.limits[Limit.RESERVE.value]), (8, 1))

    def test_a_mirrored_instance_needs_two_nodes(self) -> None:
        found = ask(a_size(Storage.MIRRORED), THREE[:1])
        self.assertEqual((found.count, found.limits), (0, {Limit.SECONDARY.value: 1}))

    def test_disk_space_can_be_what_stops_the_next_one(self) -> None:
        found = ask(a_size(Storage.LOCAL, disk=400_000), THREE)
        self.assertEqual((found.count, found.limits), (6, {Limit.DISK.value: 3}))

    def test_processors_and_spindles_are_limited_by_the_policy(self) -> None:
        nodes = [a_node_model("node1", vcpu_ratio=0.125), a_node_model("node2", spindle_ratio=1.0)]
        found = ask(a_size(Storage.LOCAL, spindles=1), nodes)
        self.assertEqual(found.limits, {Limit.CPU.value: 1, Limit.SPINDLES.value: 1})

    def test_a_group_whose_policy_forbids_the_size_gets_none(self) -> None:
        found = ask(a_size(Storage.LOCAL, groups=()), THREE)
        self.assertEqual((found.count, found.limits), (0, {Limit.POLICY.value: 3}))

    def test_nodes_that_are_not_usable_get_none(self) -> None:
        nodes = [*THREE, a_node_model("node4", state=NodeState.OFFLINE)]
        found = ask(a_size(Storage.LOCAL), nodes)
        self.assertEqual((found.count, found.limits[Limit.STATE.value]), (12, 1))

    def test_a_node_without_its_reserve_gets_none(self) -> None:
        nodes = [*THREE[:2], a_node_model("node3", memory_free=20000)]
        mirrored = a_mirrored("db1", "node1", "node3", memory=30000, reserved=30000)
        found = ask(a_size(Storage.LOCAL), nodes, mirrored)
        self.assertEqual(found.count, 2 + 4)

    def test_pairs_in_a_large_group_are_as_many_as_in_small_ones(self) -> None:
        nodes = [a_node_model(f"node{number:02}") for number in range(40)]
        found = ask(a_size(Storage.MIRRORED, memory=1024), nodes)
        self.assertGreaterEqual(found.count, 40 * 62)
        self.assertLessEqual(found.count, 40 * 63)

    def test_each_size_is_counted_in_the_same_cluster(self) -> None:
        small, large = (a_size(Storage.LOCAL, memory=memory) for memory in (16384, 32768))
        model = a_cluster_model(THREE)
        found = compute_capacity(model, [small, large, small]).sizes
        self.assertEqual([each.count for each in found], [12, 6, 12])
        self.assertEqual([each.size for each in found], [small, large, small])

    def test_groups_are_counted_apart(self) -> None:
        nodes = [*THREE, a_node_model("far1", group="far"), a_node_model("off1", group="off")]
        size = a_size(Storage.LOCAL, groups=("default", "far"))
        [found] = compute_capacity(a_cluster_model(nodes), [size]).sizes
        counts = {group.group: group.count for group in found.groups}
        self.assertEqual((counts, found.count), ({"default": 12, "far": 4, "off": 0}, 16))

    def test_instances_that_exist_use_their_share(self) -> None:
        instances = [a_shared(f"web{n}", "node1", memory=16384) for n in range(3)]
        found = ask(a_size(Storage.LOCAL), THREE, *instances)
        self.assertEqual(found.count, 12 - 3)

    def test_a_mirrored_instance_uses_disk_space_on_both_nodes(self) -> None:
        found = ask(a_size(Storage.MIRRORED, memory=1, disk=1 << 19), THREE)
        self.assertEqual(found.count, 3)

    def test_spindles_of_a_mirrored_instance_are_used_on_both_nodes(self) -> None:
        nodes = [a_node_model(f"node{n}", spindle_ratio=4.0) for n in (1, 2)]
        self.assertEqual(ask(a_size(Storage.MIRRORED, memory=1, spindles=1), nodes).count, 4)
        self.assertEqual(ask(a_size(Storage.LOCAL, memory=1, spindles=1), nodes).count, 8)

    def test_of_equal_nodes_one_is_left_free_in_sum(self) -> None:
        for number in range(2, 6):
            nodes = [a_node_model(f"node{n}") for n in range(number)]
            found = ask(a_size(Storage.SHARED), nodes)
            self.assertEqual(found.count, 4 * (number - 1), number)

    def test_a_single_node_has_no_room_for_its_failure(self) -> None:
        self.assertEqual(ask(a_size(Storage.SHARED), THREE[:1]).count, 0)

    def test_a_drained_node_does_not_back_up_others(self) -> None:
        nodes = [*THREE[:2], a_node_model("node3", state=NodeState.DRAINED)]
        found = ask(a_size(Storage.SHARED), nodes)
        self.assertEqual((found.count, found.limits[Limit.STATE.value]), (4, 1))

    def test_without_a_node_nothing_fits(self) -> None:
        nodes = [a_node_model("node1", state=NodeState.OFFLINE)]
        for storage in Storage:
            found = ask(a_size(storage), nodes)
            self.assertEqual((found.count, found.limits), (0, {Limit.STATE.value: 1}), storage)

    def test_a_size_that_needs_nothing_is_not_counted(self) -> None:
        nothing = a_size(Storage.LOCAL, memory=0, vcpus=0)
        self.assertEqual(ask(nothing, THREE).count, 0)
