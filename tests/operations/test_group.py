# SPDX-License-Identifier: BSD-2-Clause
"""Plans that add, modify, rename and remove node groups and assign nodes to them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Refused
from ganeti.locking.names import group_lock, node_lock, request
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.node import Node
from ganeti.opcodes.group import AddGroup, AssignNodes, ModifyGroup, RemoveGroup, RenameGroup
from ganeti.operations.group import (
    plan_add,
    plan_assign,
    plan_modify,
    plan_remove,
    plan_rename,
)
from ganeti.operations.operation import HookCall, NodeAnswers
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_node,
    an_instance,
    uuid_of,
)

FACTS = NodeAnswers(identity="new-uuid")
MASTER = uuid_of("node", "node1")
SPECS = {
    "cpu-count": 2,
    "disk-count": 1,
    "disk-size": 1024,
    "memory-size": 512,
    "nic-count": 1,
    "spindle-use": 1,
}


def two_groups(**over: Any) -> ClusterState:
    """Return node1 and node2 in the group default, and node3 in the group east."""
    nodes: list[Node | str] = ["node1", "node2", a_node("node3", group="east")]
    return a_cluster(nodes=nodes, groups=["default", "east"], **over)


def mirrored(*nodes: str) -> Built:
    disk = a_disk("disk1", Template.DRBD, nodes=nodes)
    return an_instance("db1", node=nodes[0], disks=[disk])


class AddTests(SynchronousTestCase):
    def test_a_new_group_has_the_settings_of_the_cluster(self) -> None:
        plan = plan_add(AddGroup(group_name="west"), a_cluster(), FACTS)
        group = plan.change(a_cluster()).group("west")
        self.assertEqual((group.uuid, group.alloc_policy), ("new-uuid", AllocPolicy.PREFERRED))
        self.assertEqual(
            [group.ndparams, group.diskparams, group.ipolicy, group.networks], [{}] * 4
        )
        locks = request(exclusive=[group_lock("west"), group_lock("new-uuid")])
        self.assertEqual(plan.locks, locks)
        hooks = HookCall("group-add", "GROUP", {"GROUP_NAME": "west"}, [MASTER], [MASTER])
        self.assertEqual(plan.hooks, hooks)

    def test_only_given_settings_are_recorded(self) -> None:
        op = AddGroup(
            group_name="west",
            alloc_policy=AllocPolicy.UNALLOCABLE,
            ndparams={"spindle_count": 4},
            diskparams={Template.DRBD: {"resync-rate": 1000}},
            ipolicy={"vcpu-ratio": 2.0},
        )
        group = plan_add(op, a_cluster(), FACTS).change(a_cluster()).group("west")
        self.assertEqual(group.alloc_policy, AllocPolicy.UNALLOCABLE)
        self.assertEqual(
            (group.ndparams, group.diskparams, group.ipolicy),
            ({"spindle_count": 4}, {"drbd": {"resync-rate": 1000}}, {"vcpu-ratio": 2.0}),
        )

    def test_a_name_in_use_is_refused(self) -> None:
        words = "group default already exists; choose another name"
        with self.assertRaisesRegex(Refused, words) as caught:
            plan_add(AddGroup(group_name="default"), a_cluster(), FACTS)
        self.assertEqual(caught.exception.code, Code.EXISTS)

    def test_a_name_fits_into_lists_and_addresses(self) -> None:
        with self.assertRaisesRegex(Invalid, "group_name: must be printable, without slashes"):
            plan_add(AddGroup(group_name="a/b"), a_cluster(), FACTS)
        rename = RenameGroup(group_name="default", new_name="a/b")
        with self.assertRaisesRegex(Invalid, "new_name: must be printable, without slashes"):
            plan_rename(rename, a_cluster(), FACTS)

    def test_every_problem_of_the_settings_is_reported_at_once(self) -> None:
        op = AddGroup(
            group_name="west",
            ndparams={"spindle_count": -1},
            diskparams={Template.DRBD: {"colour": 1}},
            ipolicy={"vcpu-ratio": 0},
        )
        with self.assertRaises(Invalid) as caught:
            plan_add(op, a_cluster(), FACTS)
        paths = [problem.path for problem in caught.exception.problems]
        expected = ["ndparams/spindle_count", "diskparams/drbd/colour", "ipolicy/vcpu-ratio"]
        self.assertEqual(paths, expected)


class ModifyTests(SynchronousTestCase):
    def modified(self, group: Group, **fields: Any) -> Group:
        state = a_cluster(groups=[group])
        plan = plan_modify(ModifyGroup(group_name="default", **fields), state, FACTS)
        return plan.change(state).group("default")

    def test_nothing_to_change_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "no changes requested") as caught:
            self.modified(a_group())
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_settings_that_are_not_given_are_kept(self) -> None:
        group = a_group(ndparams={"spindle_count": 4}, ipolicy={"vcpu-ratio": 2.0})
        found = self.modified(group, ndparams={"ssh_port": 2222}, ipolicy={"spindle-ratio": 8.0})
        self.assertEqual(found.ndparams, {"spindle_count": 4, "ssh_port": 2222})
        self.assertEqual(found.ipolicy, {"vcpu-ratio": 2.0, "spindle-ratio": 8.0})

    def test_a_setting_is_reset_to_that_of_the_cluster(self) -> None:
        group = a_group(ndparams={"spindle_count": 4}, diskparams={"drbd": {"resync-rate": 1000}})
        found = self.modified(
            group,
            ndparams={"spindle_count": "default"},
            diskparams={Template.DRBD: {"resync-rate": "default"}},
        )
        self.assertEqual((found.ndparams, found.diskparams), ({}, {}))

    def test_a_group_may_have_ranges_without_the_standard_instance_of_the_cluster(self) -> None:
        large = {"min": SPECS, "max": {**SPECS, "memory-size": 4096}}
        found = self.modified(a_group(), ipolicy={"minmax": [large]})
        self.assertEqual(found.ipolicy, {"minmax": [large]})

    def test_a_range_must_not_be_empty(self) -> None:
        upside_down = {"min": SPECS, "max": {**SPECS, "memory-size": 256}}
        words = r"ipolicy/minmax\[0\].min.memory-size: 512 is more than the maximum, 256"
        with self.assertRaisesRegex(Invalid, words):
            self.modified(a_group(), ipolicy={"minmax": [upside_down]})

    def test_the_result_has_what_was_given_and_hooks_get_the_new_policy(self) -> None:
        op = ModifyGroup(group_name="default", alloc_policy=AllocPolicy.LAST_RESORT, ndparams={})
        plan = plan_modify(op, a_cluster(), FACTS)
        expected = [["alloc_policy", AllocPolicy.LAST_RESORT], ["ndparams", {}]]
        self.assertEqual(plan.result, expected)
        more = {"GROUP_NAME": "default", "NEW_ALLOC_POLICY": "last_resort"}
        self.assertEqual(plan.hooks, HookCall("group-modify", "GROUP", more, [MASTER], [MASTER]))
        self.assertEqual(plan.locks, request(exclusive=[group_lock(uuid_of("group", "default"))]))


class RenameAndRemoveTests(SynchronousTestCase):
    def test_hooks_of_a_rename_run_on_the_master_and_the_nodes_of_the_group(self) -> None:
        plan = plan_rename(RenameGroup(group_name="east", new_name="west"), two_groups(), FACTS)
        here = [MASTER, uuid_of("node", "node3")]
        names = {"OLD_NAME": "east", "NEW_NAME": "west"}
        self.assertEqual(plan.hooks, HookCall("group-rename", "GROUP", names, here, here))
        self.assertEqual((plan.result, plan.change(two_groups()).group("west").name), ("west",) * 2)

    def test_a_group_may_be_renamed_to_its_own_name_only_if_that_is_in_use(self) -> None:
        plan_rename(RenameGroup(group_name="east", new_name="east"), two_groups(), FACTS)
        with self.assertRaisesRegex(Refused, "group default already exists") as caught:
            plan_rename(RenameGroup(group_name="east", new_name="default"), two_groups(), FACTS)
        self.assertEqual(caught.exception.code, Code.EXISTS)

    def test_a_name_that_another_group_has_got_since_the_plan_is_refused(self) -> None:
        plan = plan_rename(RenameGroup(group_name="east", new_name="west"), two_groups(), FACTS)
        since = two_groups().put(a_group("west"))
        with self.assertRaisesRegex(Refused, "west already exists"):
            plan.change(since)

    def test_a_group_with_nodes_is_not_removed(self) -> None:
        words = "node group default has nodes: node1, node2; .* assign-nodes GROUP node1 node2"
        with self.assertRaisesRegex(Refused, words):
            plan_remove(RemoveGroup(group_name="default"), two_groups(), FACTS)

    def test_the_last_group_is_not_removed(self) -> None:
        alone = a_cluster()
        alone = alone.remove(alone.node("node1"))
        with self.assertRaisesRegex(Refused, "node group default is the last one"):
            plan_remove(RemoveGroup(group_name="default"), alone, FACTS)

    def test_a_group_without_nodes_is_removed(self) -> None:
        state = a_cluster(groups=["default", "empty"])
        plan = plan_remove(RemoveGroup(group_name="empty"), state, FACTS)
        left = [group.name for group in plan.change(state).groups.values()]
        self.assertEqual(left, ["default"])


class AssignTests(SynchronousTestCase):
    def assign(self, state: ClusterState, *nodes: str, **fields: Any) -> ClusterState:
        op = AssignNodes(group_name="east", nodes=nodes, **fields)
        return plan_assign(op, state, FACTS).change(state)

    def members(self, state: ClusterState) -> list[str]:
        return sorted(node.name for node in state.list_nodes(state.group("east")))

    def test_nodes_are_needed(self) -> None:
        with self.assertRaisesRegex(Refused, "give the nodes to assign to group east") as caught:
            self.assign(two_groups())
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_uuids_come_before_names(self) -> None:
        uuids = (uuid_of("node", "node2"),)
        found = self.assign(two_groups(), "node1", node_uuids=uuids)
        self.assertEqual(self.members(found), ["node2", "node3"])

    def test_only_nodes_that_change_their_group_are_locked(self) -> None:
        op = AssignNodes(group_name="east", nodes=("node2", "node3"))
        groups = [group_lock(uuid_of("group", name)) for name in ("default", "east")]
        locks = request(exclusive=[node_lock(uuid_of("node", "node2"))], shared=groups)
        self.assertEqual(plan_assign(op, two_groups(), FACTS).locks, locks)

    def test_mirrored_disks_are_not_split_unless_forced(self) -> None:
        state = two_groups(instances=[mirrored("node1", "node2")])
        for node in ("node1", "node2"):
            with self.assertRaisesRegex(Refused, "mirrored disks of db1 would be split"):
                self.assign(state, node)
        self.assertEqual(
            self.members(self.assign(state, "node1", "node2")), ["node1", "node2", "node3"]
        )
        self.assertEqual(self.members(self.assign(state, "node1", force=True)), ["node1", "node3"])

    def test_disks_that_are_split_already_may_be_joined_or_stay_split(self) -> None:
        third = a_node("node4", group="third")
        state = a_cluster(
            nodes=["node1", "node2", a_node("node3", group="east"), third],
            groups=["default", "east", "third"],
            instances=[mirrored("node1", "node3")],
        )
        self.assertEqual(self.members(self.assign(state, "node1")), ["node1", "node3"])
        op = AssignNodes(group_name="third", nodes=("node1",))
        moved = plan_assign(op, state, FACTS).change(state)
        self.assertEqual(moved.node("node1").group, uuid_of("group", "third"))
