# SPDX-License-Identifier: BSD-2-Clause
"""A node trusts the authorities that come with the list of members."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.node.trust import TrustedAuthorities
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATH = Paths().authority
OLD, NEW, BAD = (Authority.founded("cluster1", 0).certificate.decode() for _ in range(3))


class TrustTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder(Paths().data, 0o750)
        self.disk.put(PATH, OLD.encode(), 0o644, 0.0)
        self.loaded: list[str] = []
        self.trust = TrustedAuthorities(MemoryFiles(self.disk), Paths(), self.reload)

    def reload(self) -> None:
        self.loaded.append(self.disk.contents()[PATH].decode())
        if BAD in self.loaded[-1]:
            raise Failed("this node's certificate was not issued by it")

    def test_what_is_trusted_is_on_disk_and_in_use(self) -> None:
        self.successResultOf(self.trust.replace_trusted((NEW, OLD)))
        self.assertEqual(self.loaded, [NEW + OLD])
        self.disk = self.disk.after_crash()
        self.assertEqual(self.disk.contents()[PATH].decode(), NEW + OLD)

    def test_what_would_make_the_node_useless_is_taken_back(self) -> None:
        failure = self.failureResultOf(self.trust.replace_trusted((BAD,)), Failed)
        self.assertIn("was not issued by it", str(failure.value))
        self.assertEqual(self.loaded, [BAD, OLD])
        self.assertEqual(self.disk.contents()[PATH].decode(), OLD)

    def test_nothing_is_done_if_nothing_is_known_or_new(self) -> None:
        for certificates in ((), (OLD,)):
            self.successResultOf(self.trust.replace_trusted(certificates))
        self.assertEqual(self.loaded, [])
