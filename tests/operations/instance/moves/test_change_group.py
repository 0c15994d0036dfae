# SPDX-License-Identifier: BSD-2-Clause
"""An instance is asked to leave its node group: where to, and who hears of it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import ChangeInstanceGroup
from ganeti.operations.instance.moves.change_group import (
    hooks,
    plan,
    questions,
    request_allocation,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import DescribeNode
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts

GROUPS = ("old", "new", "other", a_group("closed", alloc_policy=AllocPolicy.UNALLOCABLE))
NODES = {"node1": "old", "node2": "old", "node3": "new", "node4": "other", "node5": "closed"}


def a_state(*disk_nodes: str) -> ClusterState:
    """Return web1 on node1 with shared disks, or with mirrored disks on these nodes."""
    kind = Template.DRBD if disk_nodes else Template.SHAREDFILE
    disk = a_disk("disk1", kind, nodes=disk_nodes or ("node1",))
    nodes = [a_node(name, group=group) for name, group in NODES.items()]
    return a_cluster(nodes=nodes, groups=GROUPS, instances=[an_instance("web1", disks=[disk])])


def an_op(**over: Any) -> ChangeInstanceGroup:
    return ChangeInstanceGroup(instance_name="web1", **over)


def answers(state: ClusterState) -> NodeAnswers:
    return NodeAnswers({(uuid, DescribeNode): some_facts() for uuid in state.nodes})


class TargetTests(SynchronousTestCase):
    def asked(self, state: ClusterState, **over: Any) -> list[str]:
        """The nodes that the instance could move to."""
        [query] = questions(an_op(**over), state)
        return [node.name for node in query.nodes]

    def test_every_other_group_that_takes_instances_is_a_target(self) -> None:
        self.assertEqual(sorted(self.asked(a_state())), ["node3", "node4"])

    def test_a_named_group_need_not_take_instances_of_its_own_accord(self) -> None:
        self.assertEqual(self.asked(a_state(), target_groups=("closed",)), ["node5"])

    def test_the_present_group_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "node group old is the source") as raised:
            self.asked(a_state(), target_groups=("new", "old"))
        self.assertEqual(raised.exception.code, Code.INPUT)

    def test_a_split_instance_can_be_brought_together_in_one_of_its_groups(self) -> None:
        split = a_state("node1", "node3")
        self.assertEqual(self.asked(split, target_groups=("new",)), ["node3"])
        self.assertEqual(self.asked(split), ["node4"])


class PlanTests(SynchronousTestCase):
    def test_one_job_moves_the_instance_and_acquires_its_own_locks(self) -> None:
        state = a_state()
        found = plan(an_op(target_groups=("new",)), state, answers(state))
        [[move]] = found.jobs
        self.assertEqual((move.summary, found.locks), ("INSTANCE_MIGRATE(web1)", {}))

    def test_the_early_release_of_disks_is_passed_on(self) -> None:
        state = a_state("node1", "node3")
        for early in (False, True):
            op = an_op(target_groups=("old",), early_release=early)
            [[replacement]] = plan(op, state, answers(state)).jobs
            assert isinstance(replacement, ReplaceDisks)
            self.assertEqual(replacement.early_release, early)

    def test_an_iallocator_gets_the_groups(self) -> None:
        state = a_state()
        request = request_allocation(an_op(iallocator="hail"), state, answers(state))
        assert request is not None
        expected = {
            "type": "change-group",
            "instances": ["web1"],
            "target_groups": [uuid_of("group", name) for name in ("new", "other")],
        }
        self.assertEqual((request.name, request.request), ("hail", expected))

    def test_hooks_run_on_the_master_and_get_the_target_groups(self) -> None:
        state = a_state()
        call = hooks(plan(an_op(target_groups=("new",)), state, answers(state)), state)
        master = [state.cluster.master_node]
        self.assertEqual((call.before, call.after), (master, master))
        self.assertEqual(call.environment["TARGET_GROUPS"], uuid_of("group", "new"))
