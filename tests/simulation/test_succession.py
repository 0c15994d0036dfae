# SPDX-License-Identifier: BSD-2-Clause
"""One master after another, in one process: nothing that was acknowledged is lost, one leads."""

from __future__ import annotations

import gc

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.testing.cluster import SimulatedCluster
from tests.simulation.scenario import calm, some_work, storm


class SuccessionTests(SynchronousTestCase):
    def tearDown(self) -> None:
        # As in the other simulations: what is logged on purpose, and what the dead leave behind.
        gc.collect()
        self.flushLoggedErrors()

    def cluster(self, seed: int) -> SimulatedCluster:
        cluster = SimulatedCluster(seed)
        storm(cluster, 10, trouble=0.0)
        # Until the candidates have what they need to be in sync.
        cluster.pass_time(10.0)
        return cluster

    def assert_sound(self, cluster: SimulatedCluster, seed: int) -> None:
        calm(cluster)
        self.assertEqual(cluster.problems(), [], f"seed {seed}")

    def test_a_master_that_comes_back_after_its_successor_is_not_obeyed_and_ends(self) -> None:
        for seed in range(20):
            cluster = self.cluster(seed)
            first, second = cluster.hosts[:2]
            cluster.cut_off(first)
            old = cluster.fail_over(second)
            cluster.pass_time(1.0)
            was = cluster.running()
            cluster.network.behave(first.name)
            old.wire.closed = frozenset()
            for _ in range(10):
                asking = old.master.queue.submit([some_work(cluster.random)])
                Deferred.fromCoroutine(asking).addErrback(lambda _: None)
            cluster.pass_time(60.0)
            self.assertIsInstance(old.ended, NotMaster, f"seed {seed}")
            self.assertFalse(first.has_master, f"seed {seed}")
            self.assertEqual(cluster.running(), was, f"seed {seed}")
            self.assert_sound(cluster, seed)

    def test_its_node_gets_a_copy_from_the_successor(self) -> None:
        cluster = self.cluster(1)
        first, second = cluster.hosts[:2]
        cluster.kill_master()
        cluster.fail_over(second)
        cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("after",)))
        cluster.pass_time(30.0)
        master = cluster.master
        self.assertIn(first.name, master.quorum.in_effect.in_sync)
        self.assert_sound(cluster, 1)

    def test_it_does_not_begin_again_while_its_successor_leads(self) -> None:
        cluster = self.cluster(2)
        cluster.kill_master()
        cluster.fail_over(cluster.hosts[1])
        new = cluster.process
        self.assertRaises(NotMaster, cluster.start_master, cluster.hosts[0])
        cluster.process.die()
        cluster.process = new
        self.assert_sound(cluster, 2)

    def test_the_office_goes_round_under_load_and_comes_back(self) -> None:
        for seed in range(10):
            cluster = self.cluster(seed)
            for number in (1, 2, 0):
                storm(cluster, 5, trouble=0.0)
                cluster.kill_master()
                cluster.fail_over(cluster.hosts[number])
                cluster.pass_time(10.0)
            self.assert_sound(cluster, seed)

    def test_what_is_under_way_when_the_master_stops_is_with_the_candidates(self) -> None:
        for seed in range(10):
            cluster = self.cluster(seed)
            storm(cluster, 5, trouble=0.0)
            cluster.wait(cluster.master.stop())
            ends = {cluster.copy_of(host).end for host in cluster.hosts}
            self.assertEqual(len(ends), 1, f"seed {seed}")
