# SPDX-License-Identifier: BSD-2-Clause
"""Guests and disks of a simulated cluster, on hosts that fail at every step of what is done."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.job import Status
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.opcodes.instance.moves import MoveInstance
from ganeti.testing.cluster import SimulatedCluster
from tests.simulation.guests import with_instances
from tests.simulation.playing import played


class GuestTests(SynchronousTestCase):
    def test_disks_move_from_host_to_host(self) -> None:
        cluster = SimulatedCluster(1)
        with_instances(cluster)
        cluster.submit(
            ShutdownInstance(instance_name="db1"),
            MoveInstance(instance_name="db1", target_node="node2"),
        )
        cluster.settle()
        self.assertIs(cluster.master.queue.jobs()[-1].status, Status.SUCCESS)
        self.assertEqual(len(cluster.hosts[1].images.sizes), 1)

    def test_what_fails_half_way_is_taken_back(self) -> None:
        self.assertEqual(played("guests", "--seeds", "15"), "")
