# SPDX-License-Identifier: BSD-2-Clause
"""What a node daemon watches starts nothing on a node whose files do not ask for it."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files, write_ssconf
from ganeti.daemon.node_services import candidate_api, member_keeper, standby
from ganeti.daemon.node_services.daemon_watches import (
    add_candidate_api,
    add_member_keeper,
    add_standby,
    read_candidates,
)
from ganeti.daemon.process.services import Daemon
from ganeti.paths import NODED_PORT, Paths


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.data, self.paths.run):
            os.makedirs(folder)
        self.clock = Clock()
        self.daemon = Daemon(self.clock)
        self.daemon.startService()
        self.files = local_files()

    def test_candidates_are_those_that_the_node_knows(self) -> None:
        self.assertEqual(list(read_candidates(self.paths, self.files)), [])
        write_ssconf(self.paths, {"master_candidates": "node1\nnode2"})
        self.assertEqual(list(read_candidates(self.paths, self.files)), ["node1", "node2"])
        write_ssconf(self.paths, {"master_candidates": ""})
        self.assertEqual(list(read_candidates(self.paths, self.files)), [])

    def test_without_a_store_nothing_is_started(self) -> None:
        write_ssconf(self.paths, {"master_candidates": "node1"})
        where = (self.paths, "node1", NODED_PORT, self.files)
        add_standby(self.daemon, *where)
        add_candidate_api(self.daemon, *where)
        add_member_keeper(self.daemon, self.paths, self.files)
        longest = max(standby.INTERVAL, candidate_api.INTERVAL, member_keeper.INTERVAL)
        self.clock.pump([0.5] * (2 * int(longest) + 2))
        self.assertFalse(self.daemon.over.called)

    def test_at_the_end_nothing_is_watched_any_more(self) -> None:
        where = (self.paths, "node1", NODED_PORT, self.files)
        add_standby(self.daemon, *where)
        add_candidate_api(self.daemon, *where)
        add_member_keeper(self.daemon, self.paths, self.files)
        self.assertEqual(len(self.clock.getDelayedCalls()), 3)
        self.successResultOf(self.daemon.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_standby_gives_up_its_connections_at_the_end(self) -> None:
        add_standby(self.daemon, self.paths, "node1", NODED_PORT, self.files)
        names = [part.name for part in self.daemon]
        self.assertEqual(names, ["connections to the state store", "watch of the leader key"])
