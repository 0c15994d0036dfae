# SPDX-License-Identifier: BSD-2-Clause
"""Instances change their node group: one by itself, or all of a group."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.group import AllocPolicy
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.group_change import (
    GroupChange,
    Options,
    change_request,
    group_queries,
    plan_group_change,
    preview,
    run,
    select_groups,
)
from ganeti.operations.operation import IAllocatorReply, NodeAnswers
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.testing.builders import (
    Built,
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools
from tests.operations.whole import WholeCluster


def drbd(name: str, number: int, *nodes: str, **over: Any) -> Built:
    disk = a_disk(f"disk{number}", Template.DRBD, nodes=nodes, size=16)
    return an_instance(name, node=nodes[0], disks=[disk], **over)


def cluster(*instances: Built, **over: Any) -> ClusterState:
    """Nodes 1 and 2 are of the group old, 3 and 4 of new, and 5 of spare, the last resort."""
    nodes = [a_node(name, group="old") for name in ("node1", "node2")]
    nodes += [a_node(name, group="new") for name in ("node3", "node4")]
    nodes += [a_node("node5", group="spare")]
    spare = a_group("spare", alloc_policy=AllocPolicy.LAST_RESORT)
    closed = a_group("closed", alloc_policy=AllocPolicy.UNALLOCABLE)
    groups = ("old", "new", spare, closed)
    fields: dict[str, Any] = {"nodes": nodes, "groups": groups, **over}
    return a_cluster(instances=instances, **fields)


class RegroupingTests(SynchronousTestCase):
    def whole(self, state: ClusterState) -> WholeCluster:
        whole = WholeCluster(state)
        for instance in state.instances.values():
            self.successResultOf(whole.make_disks(instance.name))
            if instance.admin_state is AdminState.UP:
                self.successResultOf(whole.start(instance.name))
        whole.clock.advance(60)  # copies are the same by then
        return whole

    def submitted(self, whole: WholeCluster, op_id: str, **fields: Any) -> list[Any]:
        result = self.successResultOf(whole.do(op_id, **fields))
        jobs = whole.memory.submitted
        self.assertEqual(result, {"jobs": [[True, n + 1] for n in range(len(jobs))]})
        return [list(job) for job in jobs]

    def carry_out(self, whole: WholeCluster, jobs: list[Any]) -> None:
        for job in jobs:
            for opcode in job:
                self.successResultOf(whole.carry_out(opcode))
        self.assertEqual(list(verify(whole.state)), [])

    def nodes(self, whole: WholeCluster, name: str) -> list[str]:
        """Where the instance is, the primary node first."""
        state = whole.state
        instance = state.instance(name)
        uuids = (instance.primary_node, *state.get_secondaries(instance))
        return [state.nodes[uuid].name for uuid in uuids]

    def refusal(self, state: ClusterState, op_id: str, **fields: Any) -> Refused:
        whole = WholeCluster(state)
        error = self.failureResultOf(whole.do(op_id, **fields), Refused).value
        assert isinstance(error, Refused)
        self.assertEqual(whole.memory.submitted, [])
        return error


class ChangeGroupTests(RegroupingTests):
    def change(self, whole: WholeCluster, name: str = "db1", **fields: Any) -> list[Any]:
        [job] = self.submitted(whole, "OP_INSTANCE_CHANGE_GROUP", instance_name=name, **fields)
        kinds = [type(opcode) for opcode in job]
        self.carry_out(whole, [job])
        return kinds

    def test_mirrored_disks_come_over_one_copy_after_the_other(self) -> None:
        whole = self.whole(cluster(drbd("db1", 1, "node1", "node2")))
        kinds = self.change(whole, early_release=True)
        self.assertEqual(kinds, [ReplaceDisks, MigrateInstance, ReplaceDisks])
        self.assertEqual(self.nodes(whole, "db1"), ["node3", "node4"])
        self.assertEqual(whole.where("db1"), ["node3"])

    def test_a_stopped_one_is_not_migrated(self) -> None:
        state = cluster(drbd("db1", 1, "node1", "node2", admin_state=AdminState.DOWN))
        whole = self.whole(state)
        self.assertEqual(self.change(whole), [ReplaceDisks, FailoverInstance, ReplaceDisks])
        self.assertEqual(self.nodes(whole, "db1"), ["node3", "node4"])

    def test_off_an_offline_node_the_guest_goes_first(self) -> None:
        state = self.whole(cluster(drbd("db1", 1, "node1", "node2"))).state
        whole = WholeCluster(state.put(a_node("node1", group="old", offline=True)))
        fields = {"instance_name": "db1", "target_groups": ["new"]}
        [job] = self.submitted(whole, "OP_INSTANCE_CHANGE_GROUP", **fields)
        kinds = [type(opcode) for opcode in job]
        expected = [FailoverInstance, ReplaceDisks, MigrateInstance, ReplaceDisks]
        self.assertEqual(kinds, expected)

    def test_one_that_is_half_there_gets_its_other_half(self) -> None:
        for nodes, kinds in (
            (("node3", "node1"), [ReplaceDisks]),
            (("node1", "node3"), [MigrateInstance, ReplaceDisks]),
        ):
            whole = self.whole(cluster(drbd("db1", 1, *nodes)))
            self.assertEqual(self.change(whole, target_groups=["new"]), kinds)
            self.assertEqual(self.nodes(whole, "db1"), ["node3", "node4"])

    def test_what_is_reached_from_anywhere_moves_at_once(self) -> None:
        whole = self.whole(cluster(an_instance("web1")))
        self.assertEqual(self.change(whole, "web1", target_groups=["spare"]), [MigrateInstance])
        self.assertEqual(self.nodes(whole, "web1"), ["node5"])

    def test_the_last_resort_is_the_last_one(self) -> None:
        state = cluster(an_instance("web1"))
        for name in ("node3", "node4"):
            state = state.put(a_node(name, group="new", drained=True))
        whole = self.whole(state)
        self.change(whole, "web1")
        self.assertEqual(self.nodes(whole, "web1"), ["node5"])

    def test_disks_on_one_node_need_another_command(self) -> None:
        disk = a_disk("web1/0", Template.PLAIN)
        error = self.refusal(
            cluster(an_instance("web1", disks=[disk])),
            "OP_INSTANCE_CHANGE_GROUP",
            instance_name="web1",
        )
        self.assertIn("gnt-instance move -n NODE web1", str(error))

    def test_each_group_has_its_reason(self) -> None:
        nic = a_nic(network=uuid_of("network", "net1"))
        net = a_network("net1")
        connected = a_group("spare", networks={net.uuid: {"mode": "bridged", "link": "br0"}})
        state = cluster(drbd("db1", 1, "node1", "node2", nics=(nic,)), networks=[net])
        error = self.refusal(state.put(connected), "OP_INSTANCE_CHANGE_GROUP", instance_name="db1")
        self.assertEqual(error.code, Code.RESOURCES)
        self.assertIn("group new: network net1 is not connected", str(error))
        self.assertIn("group spare: only one node can host instance db1", str(error))

    def test_a_group_whose_policy_it_breaks_does_not_take_it(self) -> None:
        state = cluster(an_instance("web1"))
        small = {"disk-templates": ["plain"]}
        error = self.refusal(
            state.put(a_group("new", ipolicy=small)),
            "OP_INSTANCE_CHANGE_GROUP",
            instance_name="web1",
            target_groups=["new"],
        )
        self.assertIn("is in group new, whose instance policy is violated", str(error))

    def test_its_own_group_and_none_are_refused(self) -> None:
        fields = {"instance_name": "web1", "target_groups": ["old"]}
        error = self.refusal(cluster(an_instance("web1")), "OP_INSTANCE_CHANGE_GROUP", **fields)
        self.assertEqual(error.code, Code.INPUT)
        alone = a_cluster(nodes=["node1", "node2"], instances=["web1"])
        error = self.refusal(alone, "OP_INSTANCE_CHANGE_GROUP", instance_name="web1")
        self.assertIn("gnt-group add", str(error))

    def test_an_allocator_hears_which_groups_will_do(self) -> None:
        whole = WholeCluster(cluster(an_instance("web1")))
        opcode = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "target_node": "node4"}
        result = [[["web1", "new", ["node4"]]], [], [[opcode]]]
        answer = {"success": True, "info": "", "result": result}
        whole.memory.allocators["mine"] = json.dumps(answer)
        fields = {"instance_name": "web1", "iallocator": "mine"}
        [[migrate]] = self.submitted(whole, "OP_INSTANCE_CHANGE_GROUP", **fields)
        self.assertEqual(migrate.target_node, "node4")
        [request] = [json.loads(text)["request"] for text in whole.memory.requests]
        groups = [uuid_of("group", name) for name in ("new", "spare")]
        expected = {"type": "change-group", "instances": ["web1"], "target_groups": groups}
        self.assertEqual(request, expected)


class EvacuateGroupTests(RegroupingTests):
    def mixed(self) -> ClusterState:
        return cluster(
            drbd("db1", 1, "node1", "node2"),
            drbd("db2", 2, "node3", "node1"),
            an_instance("web1"),
            an_instance("still", node="node2", admin_state=AdminState.DOWN),
            an_instance("away", node="node4"),
        )

    def test_everything_leaves(self) -> None:
        whole = self.whole(self.mixed())
        jobs = self.submitted(whole, "OP_GROUP_EVACUATE", group_name="old", target_groups=["new"])
        self.assertEqual([job[0].instance_name for job in jobs], ["db1", "db2", "still", "web1"])
        self.assertEqual([op.depends for job in jobs for op in job], [None] * 6)
        self.carry_out(whole, jobs)
        state = whole.state
        for node in state.list_nodes(state.group("old")):
            self.assertEqual(
                [*state.list_primary_instances(node), *state.list_secondary_instances(node)], []
            )
        self.assertEqual(self.nodes(whole, "db2"), ["node3", "node4"])
        self.assertEqual([whole.where(name) for name in ("db2", "still")], [["node3"], []])

    def test_one_after_the_other_by_failover(self) -> None:
        whole = self.whole(self.mixed())
        fields = {"group_name": "old", "sequential": True, "force_failover": True}
        jobs = self.submitted(whole, "OP_GROUP_EVACUATE", **fields)
        before = ((-1, ("canceled", "error", "success")),)
        self.assertEqual([job[0].depends for job in jobs], [None, before, before, before])
        kinds = {type(opcode) for job in jobs for opcode in job}
        self.assertEqual(kinds, {ReplaceDisks, FailoverInstance})
        self.carry_out(whole, jobs)

    def test_each_that_cannot_leave_has_its_reason_and_nothing_is_begun(self) -> None:
        big = an_instance("big", beparams={"maxmem": 9000})
        plain = an_instance("web2", disks=[a_disk("web2/0", Template.PLAIN)])
        error = self.refusal(cluster(big, plain), "OP_GROUP_EVACUATE", group_name="old")
        self.assertIn("web2: its plain disks are only on node1", str(error))
        self.assertIn("but 9000 MiB are required", str(error))

    def test_an_empty_group_is_left_at_once(self) -> None:
        whole = self.whole(cluster())
        self.assertEqual(self.submitted(whole, "OP_GROUP_EVACUATE", group_name="old"), [])


def facts(**known: NodeInfo) -> NodeAnswers:
    """Return the answers of nodes 3 to 5, of which those that are ``known`` differ."""
    given = {**{f"node{number}": some_facts() for number in (3, 4, 5)}, **known}
    return NodeAnswers({(uuid_of("node", name), DescribeNode): given[name] for name in given})


class SelectGroupsTests(SynchronousTestCase):
    state = cluster()

    def names(self, asked: tuple[str, ...] | None, *leaving: str) -> list[str]:
        groups = [self.state.group(name) for name in leaving]
        return [group.name for group in select_groups(asked, groups, self.state)]

    def test_groups_that_are_named_are_used_in_their_order_whatever_their_policy(self) -> None:
        self.assertEqual(self.names(("spare", "closed", "new"), "old"), ["spare", "closed", "new"])

    def test_otherwise_preferred_ones_come_first_and_unallocable_ones_not_at_all(self) -> None:
        for asked in (None, ()):
            self.assertEqual(self.names(asked, "old"), ["new", "spare"])
        self.assertEqual(self.names(None, "spare"), ["new", "old"])

    def test_every_named_group_that_is_the_source_is_told(self) -> None:
        with self.assertRaisesRegex(Refused, "node group old, new is the source") as caught:
            self.names(("old", "spare", "new"), "new", "old")
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_without_another_group_the_way_to_create_one_is_told(self) -> None:
        words = "gnt-group add NAME, and gnt-group assign-nodes NAME NODE"
        with self.assertRaisesRegex(Refused, words):
            self.names(None, "old", "new", "spare")

    def test_the_online_nodes_of_the_groups_are_asked(self) -> None:
        state = self.state.put(a_node("node4", group="new", offline=True))
        groups = [state.group(name) for name in ("new", "spare")]
        [query] = group_queries(groups, state)
        self.assertEqual({node.name for node in query.nodes}, {"node3", "node5"})


class PlanTests(SynchronousTestCase):
    def plan(
        self, state: ClusterState, answers: NodeAnswers, *groups: str, **options: bool
    ) -> GroupChange:
        manner = Options(**{"early_release": False, **options})
        targets = tuple(state.group(name) for name in groups)
        instances = list(state.instances.values())
        return plan_group_change(instances, targets, manner, state, answers)

    def replace(self, node: str, *, early_release: bool = False) -> ReplaceDisks:
        return ReplaceDisks(
            instance_name="db1",
            mode=ReplacementMode.NEW_SECONDARY,
            remote_node=node,
            early_release=early_release,
        )

    def test_the_opcodes_of_mirrored_disks_follow_from_where_their_copies_are(self) -> None:
        move = MigrateInstance(instance_name="db1", allow_failover=True)
        third, fourth = self.replace("node3"), self.replace("node4")
        for nodes, job in (
            (("node1", "node2"), (third, move, fourth)),
            (("node3", "node1"), (fourth,)),
            (("node1", "node3"), (move, fourth)),
        ):
            found = self.plan(cluster(drbd("db1", 1, *nodes)), facts(), "new")
            self.assertEqual(found.jobs, (job,), nodes)

    def test_options_hold_for_all_opcodes(self) -> None:
        state = cluster(drbd("db1", 1, "node1", "node2"))
        found = self.plan(state, facts(), "new", early_release=True, failover=True)
        first, second = (self.replace(name, early_release=True) for name in ("node3", "node4"))
        self.assertEqual(found.jobs, ((first, FailoverInstance(instance_name="db1"), second),))

    def test_a_failover_instead_of_a_proposed_migration_keeps_its_target(self) -> None:
        opcode = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "target_node": "node4"}
        text = json.dumps({"success": True, "info": "", "result": [[], [], [[opcode]]]})
        answers = NodeAnswers(advice=IAllocatorReply("mine", text))
        [[found]] = self.plan(cluster(an_instance("web1")), answers, "new", failover=True).jobs
        self.assertEqual(found, FailoverInstance(instance_name="web1", target_node="node4"))

    def test_an_instance_takes_the_first_group_that_has_room(self) -> None:
        state = cluster(an_instance("web1"))
        full = some_facts(memory_free=100)
        for answers, target in (
            (facts(), "node3"),
            (facts(node3=full), "node4"),
            (facts(node3=full, node4=full), "node5"),
        ):
            [[opcode]] = self.plan(state, answers, "new", "spare").jobs
            expected = MigrateInstance(
                instance_name="web1", target_node=target, allow_failover=True
            )
            self.assertEqual(opcode, expected)

    def test_room_that_one_instance_takes_is_not_left_for_the_next(self) -> None:
        state = cluster(an_instance("web2"), an_instance("web1"))
        one = some_facts(memory_free=200)
        jobs = self.plan(
            state, facts(node3=one, node4=some_facts(memory_free=0)), "new", "spare"
        ).jobs
        targets = [opcode.target_node for [opcode] in jobs if isinstance(opcode, MigrateInstance)]
        self.assertEqual(targets, ["node3", "node5"])

    def test_all_instances_that_are_stuck_are_told_in_order(self) -> None:
        full = some_facts(memory_free=0)
        state = cluster(*(an_instance(name) for name in ("web2", "web1")))
        with self.assertRaises(Refused) as caught:
            self.plan(state, facts(node3=full, node4=full), "new")
        told, code = caught.exception.arguments()
        self.assertEqual(code, Code.RESOURCES)
        words = "not all instances can move to another group: web1: group new: no node can host"
        self.assertTrue(str(told).startswith(words), told)
        self.assertIn("; web2: group new: no node can host", str(told))

    def test_instances_that_the_iallocator_cannot_move_are_told(self) -> None:
        result = [[], [["web1", "it is large"]], []]
        text = json.dumps({"success": True, "info": "", "result": result})
        answers = NodeAnswers(advice=IAllocatorReply("mine", text))
        with self.assertRaisesRegex(Refused, "another group: web1: it is large"):
            self.plan(cluster(an_instance("web1")), answers, "new")


class JobTests(SynchronousTestCase):
    migrate: Opcode = MigrateInstance(instance_name="web1")
    failover: Opcode = FailoverInstance(instance_name="web2")

    def test_jobs_are_submitted_and_need_no_locks_themselves(self) -> None:
        plan = GroupChange(((self.migrate,), (self.failover,)), ())
        memory = MemoryTools(cluster())
        found = self.successResultOf(run(plan, memory.tools))
        self.assertEqual(found, {"jobs": [[True, 1], [True, 2]]})
        self.assertEqual((memory.submitted, plan.locks), ([*plan.jobs], {}))
        nothing = self.successResultOf(run(GroupChange((), ()), memory.tools))
        self.assertEqual(nothing, {"jobs": []})

    def test_a_dry_run_has_the_summaries_of_each_job(self) -> None:
        plan = GroupChange(((self.migrate, self.failover), (self.migrate,)), ())
        first, second = "INSTANCE_MIGRATE(web1)", "INSTANCE_FAILOVER(web2)"
        self.assertEqual(preview(plan), [[first, second], [first]])

    def test_hooks_and_iallocators_get_groups_by_their_uuids(self) -> None:
        groups = tuple(cluster().group(name) for name in ("spare", "new"))
        uuids = [group.uuid for group in groups]
        self.assertEqual(GroupChange((), groups).target_groups, " ".join(uuids))
        request = change_request([an_instance("web1").instance], groups)
        expected = {"type": "change-group", "instances": ["web1"], "target_groups": uuids}
        self.assertEqual(request, expected)
