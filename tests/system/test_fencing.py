# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of real daemons are cut off, killed and frozen: their guests start elsewhere, never twice.

The nodes are in network namespaces; an observer outside reads the notes of the guests on all nodes
many times a second. There are no watchdog devices: the watchdogs kill the guests.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.failover import FenceMethod
from ganeti.opcodes.failover import ModifyFailover
from ganeti.opcodes.node import ModifyNode
from tests.system.fencing_trials import lose_in_each_way, prepare
from tests.system.losses import LostNodes, PowerController
from tests.system.observer import GuestObserver
from tests.system.partitions import PartitionedCluster, reason_to_skip
from tests.system.running import TIMEOUT, eventually


class FencingTests(SynchronousTestCase):
    def test_a_node_is_lost_in_several_ways_and_its_guests_run_elsewhere(self) -> None:
        if reason := reason_to_skip():
            self.skipTest(reason)
        cluster = PartitionedCluster(5)
        try:
            names = prepare(cluster)
            with GuestObserver(cluster.guest_folders()) as observer:
                taken = lose_in_each_way(LostNodes(cluster), names)
            self.assertEqual([str(each) for each in observer.twice], [])
            self.assertEqual(len(taken), 3)
        finally:
            self.assertEqual(cluster.destroy(), [])

    def test_a_node_that_hangs_is_powered_off_by_its_helper(self) -> None:
        """Its guests go on, and nothing but the helper could confirm that they have ended."""
        if reason := reason_to_skip():
            self.skipTest(reason)
        cluster = PartitionedCluster(5)
        try:
            names, losses = prepare(cluster), LostNodes(cluster)
            power = PowerController(cluster, losses)
            master, [home] = cluster.master(), set(losses.homes(names).values())
            helper = ModifyNode(
                node_name=cluster.name(home), ndparams={"oob_program": str(power.program)}
            )
            cluster.perform(master, helper, ModifyFailover(require_device=True))
            losses.wait_for_guard(home)

            def is_fenced() -> bool:
                power.serve(home)
                return losses.method(home) == FenceMethod.POWER

            with GuestObserver(cluster.guest_folders()) as observer:
                losses.freeze(home)
                eventually(is_fenced, 2 * TIMEOUT)
                losses.wait_for_move(names, home)
            self.assertEqual([str(each) for each in observer.twice], [])
            power.power_on(home)
            losses.bring_back(home)
        finally:
            self.assertEqual(cluster.destroy(), [])
