# SPDX-License-Identifier: BSD-2-Clause
"""What speaks against a failover before nodes are asked; the rest is in tests.system."""

from __future__ import annotations

from ganeti.bootstrap.failover import become_master
from ganeti.errors import Refused
from tests.bootstrap.host import Host


class FailoverTests(Host):
    def refused(self, name: str, why: str) -> None:
        with self.assertRaisesRegex(Refused, why):
            become_master(self.paths, name, port=1)

    def test_a_host_of_no_cluster_has_no_office(self) -> None:
        self.refused("node1", "this node is part of no cluster")

    def test_only_a_candidate_can_be_the_master(self) -> None:
        self.init_cluster()
        self.refused("node2", "node2 is no master candidate.* run this on one of node1")

    def test_its_own_node_daemon_must_run(self) -> None:
        self.init_cluster()
        self.refused("node1", "this node's own node daemon must run: .*refused")
