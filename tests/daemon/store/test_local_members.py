# SPDX-License-Identifier: BSD-2-Clause
"""What the master needs on its host to change the members of the state store."""

from __future__ import annotations

import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.store.local_members import LocalMemberTools
from ganeti.daemon.store.store_connection import StoreClients
from ganeti.errors import Failed
from ganeti.journal.etcd.store_settings import StateStore
from ganeti.paths import Paths
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, Ran, Script

SETTINGS = StateStore(endpoints=("https://192.0.2.1:2379",), prefix="/ganeti/1/", own_members=True)


class LocalMemberTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.paths = MemoryDisk(), Paths("/trial")
        self.disk.add_folder(self.paths.data, 0o755)
        processes = MemoryProcesses(Clock(), {sys.executable: self.issue})
        self.tools = LocalMemberTools(
            Clock(), MemoryFiles(self.disk), processes, self.paths, StoreClients()
        )

    def issue(self, ran: Ran) -> Script:
        match ran.argv[3:]:
            case ("member", "node2", "192.0.2.2"):
                return Script(out=b"PEM")
            case ("client",) | ("retire",):
                return Script()
            case ("issuers",):
                return Script(out=b"new old")
        return Script(code=1, err=b"unknown command")

    def test_settings_that_were_saved_are_read(self) -> None:
        self.assertIsNone(self.tools.settings())
        self.successResultOf(self.tools.save(SETTINGS))
        self.assertEqual(self.tools.settings(), SETTINGS)

    def test_certificates_are_issued_by_another_process(self) -> None:
        issued = self.successResultOf(self.tools.issue("node2", "192.0.2.2"))
        self.assertEqual(issued, "PEM")
        self.successResultOf(self.tools.renew_client())

    def test_authorities_are_told_and_retired_by_another_process(self) -> None:
        self.assertEqual(self.successResultOf(self.tools.issuers()), ("new", "old"))
        self.successResultOf(self.tools.retire())

    def test_a_certificate_that_is_not_issued_is_explained(self) -> None:
        error = self.failureResultOf(self.tools.issue("node9", "?"), Failed).value
        self.assertRegex(str(error), r"no certificate .* \(member node9 \?\): unknown command")

    def test_members_reach_each_other_at_the_port_of_etcd_for_peers(self) -> None:
        self.assertEqual(self.tools.peer_url("192.0.2.2"), "https://192.0.2.2:2380")
        self.assertEqual(self.tools.peer_url("2001:db8::2"), "https://[2001:db8::2]:2380")

    def test_a_client_needs_a_certificate_on_this_host(self) -> None:
        self.successResultOf(self.tools.save(SETTINGS))
        with self.assertRaisesRegex(Failed, self.paths.store_certificate):
            self.tools.etcd()
        self.tools.close()
