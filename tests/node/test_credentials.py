# SPDX-License-Identifier: BSD-2-Clause
"""A node's key and certificate are replaced together, or not at all."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.credentials import NodeCredentials
from ganeti.paths import Paths
from ganeti.rpc.node import RequestCertificate, UseCertificate
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PATH = Paths().node_certificate


class CredentialsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.disk.add_folder(Paths().data, 0o750)
        self.disk.put(PATH, b"old", 0o600, 0.0)
        self.loaded: list[bytes] = []
        files = MemoryFiles(self.disk)
        self.credentials = NodeCredentials(files, Paths(), "node1", self.make, self.reload)

    async def make(self, name: str) -> tuple[bytes, bytes]:
        return b"key of " + name.encode() + b"; ", b"request"

    def reload(self) -> None:
        self.loaded.append(self.disk.contents()[PATH])
        if b"bad" in self.loaded[-1]:
            raise Failed("they do not go together")

    def request(self) -> None:
        asking = self.credentials.request(RequestCertificate())
        self.assertEqual(self.successResultOf(asking), "request")

    def test_a_new_key_counts_with_its_certificate(self) -> None:
        self.request()
        self.assertEqual(self.disk.contents()[PATH], b"old")
        self.successResultOf(self.credentials.use_certificate(UseCertificate(certificate="new")))
        self.assertEqual(self.loaded, [b"key of node1; new"])

    def test_what_cannot_be_used_is_taken_back(self) -> None:
        self.request()
        using = self.credentials.use_certificate(UseCertificate(certificate="bad"))
        self.failureResultOf(using, Failed)
        self.assertEqual(self.loaded, [b"key of node1; bad", b"old"])
        self.assertEqual(self.disk.contents()[PATH], b"old")

    def test_a_certificate_without_a_new_key_is_refused(self) -> None:
        using = self.credentials.use_certificate(UseCertificate(certificate="new"))
        self.failureResultOf(using, Refused)
        self.assertEqual(self.loaded, [])
