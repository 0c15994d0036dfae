# SPDX-License-Identifier: BSD-2-Clause
"""The promises across machines hold with the state in etcd, too: three members, five nodes.

The nodes 1 to 3 have a member each. Clients ask for changes while daemons, members and networks
fail; afterwards, nothing that was acknowledged is lost.
"""

from __future__ import annotations

import os
import shutil
import time

from ganeti.paths import Paths
from tests.system.acknowledgements import Attempt, Clients
from tests.system.running import eventually
from tests.system.test_partitions import Scenarios


class EtcdPartitionTests(Scenarios):
    state = "etcd"

    def setUp(self) -> None:
        if shutil.which("etcd") is None:
            self.skipTest("there is no etcd: install etcd-server")
        super().setUp()
        eventually(lambda: all(map(self.can_be_master, self.cluster.numbers)))

    def can_be_master(self, number: int) -> bool:
        """Whether a node has what a master needs, which it gets in the background."""
        paths: Paths = self.cluster.node(number).paths
        store = {*paths.store_files} - {paths.store_authority_key}
        needed = (*store, paths.authority_key)
        return all(map(os.path.exists, needed))

    def wait_for_acknowledgements(self, node: int = 0, more: int = 10) -> None:
        """Wait until a node has acknowledged some more jobs; 0 is any node."""
        before = len(self.ledger.jobs)
        eventually(lambda: sum(node in (0, job.node) for job in self.ledger.jobs[before:]) >= more)

    def wait_for_successor(self, old: int = 0) -> int:
        """Wait for the automatic failover from ``old``; the node that is the master then."""
        cut = time.monotonic()

        def acknowledging() -> int:
            since = (job.node for job in self.ledger.jobs if job.sent > cut)
            return next((node for node in since if node != old), 0)

        new: int = eventually(acknowledging)
        self.attempts.append(Attempt(new, cut))
        return new

    def test_a_killed_master_loses_nothing(self) -> None:
        with Clients(self.cluster, self.ledger, seed=11):
            self.wait_for_acknowledgements(self.first)
            self.cluster.kill(self.first, "masterd")
            # Its own node starts another, or if that is too slow, a candidate takes the role.
            self.wait_for_acknowledgements(self.wait_for_successor())
        self.assert_kept()

    def test_killed_members_lose_nothing(self) -> None:
        with Clients(self.cluster, self.ledger, seed=12):
            for member in (1, 2, 3):
                self.cluster.kill_member(member)
                # Of any node: if the others take long to elect a leader, the master may lose its
                # lease, and a candidate takes the role.
                self.wait_for_acknowledgements()
                self.cluster.start_members()
        self.assert_kept()

    def test_a_master_that_is_cut_off_is_replaced_and_acknowledges_nothing_more(self) -> None:
        old, most = self.first, self.others(self.first)
        with Clients(self.cluster, self.ledger, seed=13):
            self.wait_for_acknowledgements(old)
            self.cluster.network.cut([old], most)
            new = self.wait_for_successor(old)
            self.wait_for_acknowledgements(new)
            self.try_to_tag(old, "alone")
            self.cluster.network.heal()
        self.assertEqual(self.assert_kept(), new)

    def test_a_master_that_was_paused_acknowledges_nothing_after_its_successor(self) -> None:
        old, most = self.first, self.others(self.first)
        with Clients(self.cluster, self.ledger, seed=14):
            self.wait_for_acknowledgements(old)
            self.cluster.freeze(old, "masterd")
            self.cluster.network.cut([old], most)
            new = self.wait_for_successor(old)
            self.wait_for_acknowledgements(new)
            self.cluster.thaw(old, "masterd")
            self.try_to_tag(old, "awake")
            self.cluster.network.heal()
        self.assertEqual(self.assert_kept(), new)

    def test_members_that_are_apart_for_longer_than_a_lease_cost_time_only(self) -> None:
        with Clients(self.cluster, self.ledger, seed=15):
            self.wait_for_acknowledgements(self.first)
            self.cluster.network.cut([1], [2], [3], [4, 5])
            self.assertEqual(self.try_to_tag(self.first, "apart", timeout=15.0), 0)
            self.cluster.network.heal()
            eventually(lambda: self.ledger.acknowledged_since(time.monotonic() - 1.0))
        self.assert_kept()
