# SPDX-License-Identifier: BSD-2-Clause
"""Instances leave a node, all at once; and a node's storage is looked after."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.node.storage_units import StorageUnits
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.rpc.storage import ListStorageCall, ModifyStorageCall, RepairStorageCall
from ganeti.storage.interfaces import StorageUnit
from ganeti.testing.builders import Built, a_cluster, a_disk, a_node, an_instance
from ganeti.testing.storage import MemoryUnits
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")


def on_two(name: str, number: int, primary: str, secondary: str, **over: Any) -> Built:
    disk = a_disk(f"disk{number}", Template.DRBD, nodes=(primary, secondary))
    return an_instance(name, node=primary, disks=[disk], **over)


def mixed() -> ClusterState:
    return a_cluster(
        nodes=NODES,
        instances=[
            an_instance("free1"),
            an_instance("free2"),
            on_two("db1", 1, "node1", "node2"),
            on_two("db2", 2, "node3", "node1"),
            an_instance("still", admin_state=AdminState.DOWN),
        ],
    )


class LeavingTests(SynchronousTestCase):
    def jobs(self, state: ClusterState, op_id: str, **fields: Any) -> list[Any]:
        self.whole = WholeCluster(state)
        result = self.successResultOf(self.whole.do(op_id, node_name="node1", **fields))
        submitted = self.whole.memory.submitted
        self.assertEqual(result, {"jobs": [[True, n + 1] for n in range(len(submitted))]})
        return [list(job) for job in submitted]

    def refusal(self, state: ClusterState, op_id: str, **fields: Any) -> Refused:
        working = WholeCluster(state).do(op_id, node_name="node1", **fields)
        error = self.failureResultOf(working, Refused).value
        assert isinstance(error, Refused)
        return error

    def test_what_runs_is_migrated_and_spread_over_the_others(self) -> None:
        jobs = self.jobs(mixed(), "OP_NODE_MIGRATE", live=True)
        self.assertEqual(
            [(op.instance_name, op.target_node, op.allow_failover) for [op] in jobs],
            [
                ("db1", None, False),
                ("free1", "node3", False),
                ("free2", "node2", False),
                ("still", "node3", True),
            ],
        )
        self.assertTrue(all(op.live for [op] in jobs))

    def test_primary_only_leaves_the_copies(self) -> None:
        jobs = self.jobs(mixed(), "OP_NODE_EVACUATE", mode="primary-only")
        kinds = [[type(op) for op in job] for job in jobs]
        expected = [[MigrateInstance], [MigrateInstance], [MigrateInstance], [FailoverInstance]]
        self.assertEqual(kinds, expected)

    def test_secondary_only_moves_the_copies(self) -> None:
        [[replace]] = self.jobs(mixed(), "OP_NODE_EVACUATE", mode="secondary-only")
        assert isinstance(replace, ReplaceDisks)
        self.assertEqual((replace.instance_name, replace.remote_node), ("db2", "node2"))

    def test_all_moves_the_instance_and_then_its_copy(self) -> None:
        jobs = self.jobs(mixed(), "OP_NODE_EVACUATE", mode="all")
        self.assertEqual([type(op) for op in jobs[0]], [MigrateInstance, ReplaceDisks])
        self.assertEqual(jobs[0][1].remote_node, "node3")

    def test_off_an_offline_node_they_are_failed_over(self) -> None:
        state = mixed()
        nodes = [a_node("node2"), a_node("node1", offline=True), a_node("node3")]
        for node in nodes:
            state = state.put(node)
        jobs = self.jobs(state, "OP_NODE_EVACUATE", mode="primary-only")
        self.assertEqual({type(op) for [op] in jobs}, {FailoverInstance})

    def test_each_that_cannot_leave_has_its_reason(self) -> None:
        state = a_cluster(
            nodes=NODES,
            instances=[
                an_instance("web1", disks=[a_disk("web1/0")]),
                an_instance("big", beparams={"maxmem": 99999}),
                an_instance("small"),
            ],
        )
        error = self.refusal(state, "OP_NODE_EVACUATE", mode="primary-only")
        self.assertEqual(error.code, Code.RESOURCES)
        self.assertIn("web1: its file disks are only on node1", str(error))
        self.assertIn("node2 has 8192 MiB of free memory, but 99999 MiB are required", str(error))
        jobs = self.jobs(state, "OP_NODE_EVACUATE", mode="primary-only", ignore_soft_errors=True)
        self.assertEqual([op.instance_name for [op] in jobs], ["small"])
        self.assertIn("cannot move web1 away from node node1", self.whole.said)

    def test_a_named_node_takes_copies_only(self) -> None:
        error = self.refusal(mixed(), "OP_NODE_EVACUATE", mode="all", remote_node="node3")
        self.assertEqual(error.code, Code.INPUT)


class StorageTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.PLAIN)
        self.whole = WholeCluster(
            a_cluster(nodes=NODES, instances=[an_instance("web1", disks=[disk])])
        )
        pv = StorageUnit(name="/dev/sda1", size=1000, free=600, used=400, group="vg0")
        for host in self.whole.hosts.values():
            units = StorageUnits({"lvm-pv": MemoryUnits(pv), "lvm-vg": MemoryUnits(pv)}, {})
            host.answers.to(ListStorageCall, units.show)
            host.answers.to(ModifyStorageCall, units.modify)
            host.answers.to(RepairStorageCall, units.repair)

    def do(self, op_id: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(op_id, **fields))

    def refusal(self, op_id: str, **fields: Any) -> Refused:
        error = self.failureResultOf(self.whole.do(op_id, **fields), Refused).value
        assert isinstance(error, Refused)
        return error

    def test_units_are_rows_of_the_fields_asked_for(self) -> None:
        fields = ["node", "type", "name", "size", "used", "free", "allocatable"]
        rows = self.do(
            "OP_NODE_QUERY_STORAGE", output_fields=fields, storage_type="lvm-pv", nodes=["node2"]
        )
        self.assertEqual(rows, [["node2", "lvm-pv", "/dev/sda1", 1000, 400, 600, True]])

    def test_an_unknown_field_is_refused_with_the_known_ones(self) -> None:
        asked = {"output_fields": ["colour"], "storage_type": "lvm-pv"}
        error = self.refusal("OP_NODE_QUERY_STORAGE", **asked)
        self.assertEqual(error.code, Code.INPUT)
        self.assertIn("allocatable", str(error))

    def test_a_silent_node_does_not_hide_the_others(self) -> None:
        self.whole.network.vanish("node2")
        asked = {"output_fields": ["node"], "storage_type": "lvm-pv"}
        self.assertEqual(self.do("OP_NODE_QUERY_STORAGE", **asked), [["node1"], ["node3"]])
        self.assertIn("node2", self.whole.said)

    def test_a_unit_takes_no_more_disks_and_is_repaired(self) -> None:
        unit = {"node_name": "node1", "storage_type": "lvm-pv", "name": "/dev/sda1"}
        self.do("OP_NODE_MODIFY_STORAGE", **unit, changes={"allocatable": False})
        rows = self.do(
            "OP_NODE_QUERY_STORAGE",
            output_fields=["allocatable"],
            storage_type="lvm-pv",
            nodes=["node1"],
        )
        self.assertEqual(rows, [[False]])
        unit = {"node_name": "node1", "storage_type": "lvm-vg", "name": "/dev/sda1"}
        self.assertEqual(self.refusal("OP_REPAIR_NODE_STORAGE", **unit).code, Code.STATE)
        self.do("OP_REPAIR_NODE_STORAGE", **unit, ignore_consistency=True)

    def test_what_cannot_be_changed_is_refused_with_what_can(self) -> None:
        unit = {"node_name": "node1", "storage_type": "file", "name": "/srv"}
        error = self.refusal("OP_NODE_MODIFY_STORAGE", **unit, changes={"allocatable": True})
        self.assertEqual(error.code, Code.INPUT)
        error = self.refusal("OP_REPAIR_NODE_STORAGE", **unit)
        self.assertIn("repairable: lvm-vg", str(error))

    def test_volumes_come_with_their_instances(self) -> None:
        self.successResultOf(self.whole.make_disks("web1"))
        rows = self.do("OP_NODE_QUERYVOLS", output_fields=["node", "vg", "size", "instance"])
        self.assertEqual(rows, [["node1", "vg0", 1024, "web1"]])
