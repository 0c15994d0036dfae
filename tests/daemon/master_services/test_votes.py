# SPDX-License-Identifier: BSD-2-Clause
"""The vote of the node daemon on the master's host, when the state moves to files."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.master_services.votes import read_own_term
from ganeti.paths import Paths
from ganeti.rpc.quorum import VoterState
from ganeti.testing.disk import MemoryDisk, MemoryFiles


class OwnTermTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.paths = MemoryDisk(), Paths()
        self.disk.add_folder(self.paths.data, 0o755)

    def read(self) -> int:
        return read_own_term(MemoryFiles(self.disk), self.paths, "node1")

    def write(self, content: bytes) -> None:
        self.disk.put(self.paths.term_file, content, 0o600, 0.0)

    def test_it_is_the_term_that_was_granted_to_this_node(self) -> None:
        self.assertEqual(self.read(), 0)
        for master, term in (("node1", 7), ("node2", 0)):
            self.write(msgspec.json.encode(VoterState(term=7, master=master)))
            self.assertEqual(self.read(), term)

    def test_a_vote_that_cannot_be_read_does_not_count(self) -> None:
        self.write(b"{")
        self.assertEqual(self.read(), 0)
