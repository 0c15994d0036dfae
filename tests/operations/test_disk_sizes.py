# SPDX-License-Identifier: BSD-2-Clause
"""The recorded sizes of disks are corrected by what their nodes say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.objects import update
from ganeti.errors import Refused
from ganeti.locking.names import instance_lock, request
from ganeti.model.disk import Template
from ganeti.opcodes.cluster import RepairDiskSizes
from ganeti.operations.cluster.repair_disk_sizes import OPERATION
from ganeti.operations.instance.disks.mirrors import sent
from ganeti.operations.perform import collect_inputs
from ganeti.rpc.disks import GrowDiskCall
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of
from tests.operations.whole import WholeCluster

OP_ID = "OP_CLUSTER_REPAIR_DISK_SIZES"


class SizeTests(SynchronousTestCase):
    def setUp(self) -> None:
        plain = [a_disk(f"web1/{n}", Template.PLAIN, size=64) for n in range(2)]
        mirrored = a_disk("disk3", Template.DRBD, nodes=("node1", "node2"), size=32)
        instances = [an_instance("web1", disks=plain), an_instance("db1", disks=[mirrored])]
        state = a_cluster(nodes=["node1", "node2"], instances=instances)
        self.whole = WholeCluster(state)
        for name in ("web1", "db1"):
            self.successResultOf(self.whole.make_disks(name))

    def do(self, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(OP_ID, **fields))

    def grow(self, name: str, number: int, by: int) -> None:
        """Make a disk larger behind the cluster's back."""
        state = self.whole.state
        disk = state.get_disks(state.instance(name))[number]
        held, key = self.whole.volumes["node1"].held, "/".join(disk.logical_id)
        held[key] = replace(held[key], size=disk.size + by)

    def sizes(self, name: str) -> list[int]:
        state = self.whole.state
        return [disk.size for disk in state.get_disks(state.instance(name))]

    def test_nothing_is_wrong_with_what_was_just_made(self) -> None:
        before = self.whole.state
        self.assertEqual(self.do(), [])
        self.assertEqual(self.whole.state.serial_no, before.serial_no)

    def test_what_is_only_reserved_is_left_out_or_refused_by_name(self) -> None:
        web1 = self.whole.state.instance("web1")
        change = update(web1, forthcoming=True)
        self.successResultOf(self.whole.tools.config.change(change))
        self.grow("web1", 1, by=4)
        self.assertEqual(self.do(), [])
        asked = self.whole.do(OP_ID, instances=["web1"])
        self.assertIn("only reserved", str(self.failureResultOf(asked, Refused).value))

    def test_what_differs_is_corrected_and_told(self) -> None:
        self.grow("web1", 1, by=4)
        self.assertEqual(self.do(), [["web1", 1, "size", 68]])
        self.assertEqual(self.sizes("web1"), [64, 68])
        self.assertIn("disk/1 of web1 has 68 MiB instead of 64 MiB", self.whole.said)
        self.assertEqual(self.do(), [])

    def test_the_volume_below_a_mirrored_disk_goes_along(self) -> None:
        state = self.whole.state
        instance = state.instance("db1")
        [disk] = sent(state, instance, state.get_disks(instance))
        for node in ("node2", "node1"):
            grow = GrowDiskCall(disk=disk, amount=8)
            self.successResultOf(self.whole.network.ask(state.node(node), grow))
        self.assertEqual(self.do(), [["db1", 0, "size", 40]])
        [found] = self.whole.state.get_disks(self.whole.state.instance("db1"))
        self.assertEqual(
            (found.size, found.children[0].size, found.children[1].size), (40, 40, 128)
        )

    def test_only_those_that_are_named_are_looked_at(self) -> None:
        self.grow("web1", 0, by=4)
        self.assertEqual(self.do(instances=["db1"]), [])
        self.assertEqual(self.do(instances=["web1", "web1"]), [["web1", 0, "size", 68]])

    def test_what_cannot_be_found_out_is_told_and_keeps_nothing_else(self) -> None:
        self.grow("web1", 0, by=4)
        state = self.whole.state
        gone = state.get_disks(state.instance("web1"))[1]
        del self.whole.volumes["node1"].held["/".join(gone.logical_id)]
        self.assertEqual(self.do(), [["web1", 0, "size", 68]])
        self.assertIn("disk/1 of web1 on node1 is missing", self.whole.said)
        self.whole.network.vanish("node1")
        self.assertEqual(self.do(), [])
        self.assertIn("cannot check the disks on node node1", self.whole.said)
        self.whole = WholeCluster(state.put(a_node("node1", offline=True)))
        self.assertEqual(self.do(), [])
        self.assertIn("node node1 is offline", self.whole.said)

    def test_only_what_is_corrected_is_locked_and_a_dry_run_shows_it(self) -> None:
        self.grow("web1", 1, by=4)
        op, state = RepairDiskSizes(), self.whole.state
        facts = self.successResultOf(collect_inputs(OPERATION, op, state, self.whole.tools, ""))
        plan = OPERATION.plan(op, state, facts)
        lock = instance_lock(uuid_of("instance", "web1"))
        self.assertEqual(plan.locks, request(exclusive=[lock]))
        self.assertEqual(OPERATION.preview(plan), [["web1", 1, "size", 68]])
