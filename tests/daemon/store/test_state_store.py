# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for the state store."""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.etcd_members import issue_certificates
from ganeti.daemon.store.store_connection import StorePolicy
from ganeti.errors import Failed


class PolicyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        issued = issue_certificates("c", (), time.time())
        self.authority = self.file("ca", issued.authority)
        self.certificate = self.file("client", issued.client)

    def file(self, name: str, content: bytes) -> str:
        path = f"{self.folder}/{name}"
        with open(path, "wb") as file:
            file.write(content)
        return path

    def test_names_and_addresses_of_members_can_be_connected_to(self) -> None:
        policy = StorePolicy(self.authority, self.certificate)
        for host in (b"192.0.2.1", b"[2001:db8::1]", b"etcd.example.com"):
            self.assertIsNotNone(policy.creatorForNetloc(host, 2379))

    def test_a_file_that_is_missing_or_damaged_is_named(self) -> None:
        for path in (f"{self.folder}/none", self.file("damaged", b"?")):
            with self.assertRaisesRegex(Failed, f"{path}, which connections to the state store"):
                StorePolicy(self.authority, path)
