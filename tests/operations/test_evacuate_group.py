# SPDX-License-Identifier: BSD-2-Clause
"""Plans that move all instances of a node group to other groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.opcodes.group import EvacuateGroup
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.operations.evacuate_group import (
    OPERATION,
    hooks,
    plan,
    questions,
    request_allocation,
)
from ganeti.operations.operation import IAllocatorReply, IAllocatorRequest, NodeAnswers
from ganeti.rpc.node import DescribeNode
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

NEW, SPARE = uuid_of("group", "new"), uuid_of("group", "spare")


def mirrored(name: str, *nodes: str) -> Built:
    disk = a_disk(f"{name}1", Template.DRBD, nodes=nodes, size=16)
    return an_instance(name, node=nodes[0], disks=[disk])


def cluster(*instances: Built) -> ClusterState:
    """Return node1 and node2 in the group old, node3 and node4 in new, node5 in spare."""
    nodes = [a_node(f"node{number}", group="old") for number in (1, 2)]
    nodes += [a_node("node3", group="new"), a_node("node4", group="new", offline=True)]
    nodes += [a_node("node5", group="spare")]
    spare = a_group("spare", alloc_policy=AllocPolicy.LAST_RESORT)
    return a_cluster(nodes=nodes, groups=["new", "old", spare], instances=instances)


def answers(*names: str) -> NodeAnswers:
    key = DescribeNode
    return NodeAnswers({(uuid_of("node", name), key): some_facts() for name in names})


def evacuate(**fields: Any) -> EvacuateGroup:
    return EvacuateGroup(group_name="old", **fields)


class EvacuateGroupTests(SynchronousTestCase):
    facts = answers("node3", "node5")

    def test_only_online_nodes_of_the_target_groups_are_asked(self) -> None:
        def asked(**fields: Any) -> Sequence[str]:
            [query] = questions(evacuate(**fields), cluster())
            return [node.name for node in query.nodes]

        self.assertEqual(asked(), ["node3", "node5"])
        self.assertEqual(asked(target_groups=("spare",)), ["node5"])

    def test_the_group_itself_is_no_target(self) -> None:
        with self.assertRaisesRegex(Refused, "node group old is the source") as caught:
            plan(evacuate(target_groups=("new", "old")), cluster(), self.facts)
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_an_instance_with_both_nodes_in_the_group_is_moved_once(self) -> None:
        state = cluster(an_instance("web2"), an_instance("far", node="node3"), an_instance("web1"))
        found = plan(evacuate(), state, self.facts)
        expected = tuple(
            (MigrateInstance(instance_name=name, target_node="node3", allow_failover=True),)
            for name in ("web1", "web2")
        )
        self.assertEqual((found.jobs, found.locks), (expected, {}))
        state = cluster(mirrored("db1", "node1", "node2"), mirrored("db2", "node3", "node1"))
        asked = request_allocation(evacuate(iallocator="mine"), state, self.facts)
        request = {
            "type": "change-group",
            "instances": ["db1", "db2"],
            "target_groups": [NEW, SPARE],
        }
        self.assertEqual(asked, IAllocatorRequest("mine", request, []))

    def test_an_empty_group_needs_no_iallocator(self) -> None:
        self.assertIsNone(request_allocation(evacuate(iallocator="mine"), cluster(), self.facts))
        self.assertEqual(plan(evacuate(), cluster(), self.facts).jobs, ())

    def test_in_sequence_the_first_opcode_of_each_job_waits_for_the_job_before(self) -> None:
        replace = {
            "OP_ID": "OP_INSTANCE_REPLACE_DISKS",
            "instance_name": "db1",
            "mode": "replace_new_secondary",
            "remote_node": "node3",
        }
        migrate = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "db1"}
        proposed = [[], [], [[migrate, replace], [migrate, replace], [migrate]]]
        text = json.dumps({"success": True, "info": "", "result": proposed})
        facts = NodeAnswers(advice=IAllocatorReply("mine", text))
        op = evacuate(sequential=True, force_failover=True, early_release=True)
        before = ((-1, ("canceled", "error", "success")),)
        first = FailoverInstance(instance_name="db1")
        later = FailoverInstance(instance_name="db1", depends=before)
        second = ReplaceDisks(
            instance_name="db1",
            mode=ReplacementMode.NEW_SECONDARY,
            remote_node="node3",
            early_release=True,
        )
        found = plan(op, cluster(), facts).jobs
        self.assertEqual(found, ((first, second), (later, second), (later,)))

    def test_hooks_run_on_the_master_and_all_nodes_of_the_group(self) -> None:
        found = plan(evacuate(target_groups=("spare", "new")), cluster(), self.facts)
        call = hooks(found, cluster())
        self.assertEqual((call.directory, call.object_type), ("group-evacuate", "GROUP"))
        more = {"GROUP_NAME": "old", "TARGET_GROUPS": f"{SPARE} {NEW}"}
        self.assertEqual(call.environment, more)
        members = {uuid_of("node", name) for name in ("node1", "node2")}
        self.assertEqual((set(call.before), set(call.after)), (members, members))

    def test_hooks_run_on_the_master_of_another_group(self) -> None:
        found = plan(EvacuateGroup(group_name="spare"), cluster(), answers("node1", "node2"))
        here = {uuid_of("node", name) for name in ("node1", "node5")}
        self.assertEqual(set(hooks(found, cluster()).before), here)

    def test_a_dry_run_shows_the_opcodes_of_each_job(self) -> None:
        state = cluster(an_instance("web1"), an_instance("web2"))
        shown = OPERATION.preview(plan(evacuate(), state, self.facts))
        self.assertEqual(shown, [["INSTANCE_MIGRATE(web1)"], ["INSTANCE_MIGRATE(web2)"]])
