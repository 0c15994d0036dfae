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
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
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
