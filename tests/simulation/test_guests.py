# SPDX-License-Identifier: BSD-2-Clause
"""Guests and disks of a simulated cluster, on hosts that fail at every step of what is done."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.job import JobStatus
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
        cluster.finish_jobs()
        self.assertIs(cluster.master.queue.jobs()[-1].status, JobStatus.SUCCESS)
        self.assertEqual(len(cluster.hosts[1].images.sizes), 1)

    def test_a_move_that_is_being_recorded_when_the_master_stops_is_not_taken_back(self) -> None:
        recorded = self.moving()
        self.pass_until(recorded, lambda: self.primary(recorded) == "node2")
        almost = recorded.clock.seconds() - 0.003
        stopped = self.moving()
        self.pass_until(stopped, lambda: stopped.clock.seconds() >= almost)
        self.assertEqual(self.primary(stopped), "node1")
        stopped.wait(stopped.process.stop())
        stopped.start_master()
        self.assertEqual(self.primary(stopped), "node2")
        self.assertEqual(len(stopped.hosts[1].images.sizes), 1)
        self.assertNotIn("db1", stopped.running())

    def moving(self) -> SimulatedCluster:
        """Return a cluster in which db1 is on its way from the first host to the second."""
        cluster = SimulatedCluster(1)
        with_instances(cluster)
        cluster.submit(MoveInstance(instance_name="db1", target_node="node2"))
        return cluster

    def primary(self, cluster: SimulatedCluster) -> str:
        state = cluster.master.config.state()
        return state.nodes[state.instance("db1").primary_node].name

    def pass_until(self, cluster: SimulatedCluster, condition: Callable[[], bool]) -> None:
        while not condition():
            cluster.pass_time(0.001)

    def test_what_fails_half_way_is_taken_back(self) -> None:
        self.assertEqual(played("guests", "--seeds", "15"), "")
