# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of real daemons whose state is in etcd, with three members."""

from __future__ import annotations

import signal

from ganeti.bootstrap.daemons import MASTERD, RAPI
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.system.pidfile import holder
from tests.system.etcd_cluster import EtcdCluster
from tests.system.running import eventually
from tools.quickstart import store


class EtcdClusterTests(EtcdCluster):
    def test_a_killed_master_comes_back_with_all_that_it_acknowledged(self) -> None:
        jobs = [self.tag(1, f"tag-{number}") for number in range(5)]
        new = self.restart_master()
        self.assertEqual({self.status(new, job) for job in jobs}, {"success"})
        self.assertEqual(self.tags(new), {f"tag-{number}" for number in range(5)})

    def test_the_state_survives_the_host_of_the_master_with_its_member(self) -> None:
        jobs = [self.tag(1, f"tag-{number}") for number in range(5)]
        for daemon in (RAPI, MASTERD, "ganeti-noded"):
            self.send(1, daemon, signal.SIGKILL)
        self.kill_member(1)
        done = self.tool(2, "master-failover")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertEqual({self.status(2, job) for job in jobs}, {"success"})
        self.tag(2, "after")
        # What the old host still has is not used: it is a copy, and there is another master.
        self.running.daemon("noded", 1).start()
        told = self.masterd(1)
        self.assertEqual(told.returncode, 11, told.stderr)
        self.assertIn("node2.trial is the master", told.stderr)
        self.assertEqual(store.start(self.running.cluster), 1)
        back = self.tool(1, "master-failover")
        self.assertEqual((back.returncode, back.stderr), (0, ""), back.stdout)
        self.assertEqual(self.tags(1), {*(f"tag-{number}" for number in range(5)), "after"})

    def test_a_candidate_becomes_the_master_when_the_host_of_the_master_fails(self) -> None:
        jobs = [self.tag(1, f"tag-{number}") for number in range(5)]
        for daemon in ("ganeti-noded", RAPI, MASTERD):
            self.send(1, daemon, signal.SIGKILL)
        self.kill_member(1)
        new = self.wait_for_master(2, 3)
        self.assertEqual({self.status(new, job) for job in jobs}, {"success"})
        self.tag(new, "after")
        eventually(lambda: holder(f"{self.node(new).paths.run}/{RAPI}.pid"))

    def test_without_most_members_nothing_is_acknowledged_and_later_everything_goes_on(
        self,
    ) -> None:
        self.tag(1, "before")
        for number in (2, 3):
            self.kill_member(number)
        verified = self.tool(1, "verify")
        self.assertNotEqual(verified.returncode, 0)
        refused = self.tool(1, "add-tags", "meanwhile")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("the state store does not acknowledge", refused.stderr)
        store.start(self.running.cluster)
        eventually(lambda: self.is_in_charge(1))
        self.tag(1, "after")
        self.assertIn("before", self.tags(1))

    def is_in_charge(self, number: int) -> bool:
        try:
            return self.tool(number, "verify").returncode == 0
        except MasterNotRunning:
            return False

    def test_the_members_are_shown_and_checked(self) -> None:
        self.assertIn("State store: etcd at https://", self.tool(1, "info").stdout)
        self.kill_member(3)
        said = self.tool(1, "verify").stdout
        self.assertIn("of the state store: connection refused", said)
        status, _ = self.running.curl("GET", "/2/info")
        self.assertEqual(status, 200)
