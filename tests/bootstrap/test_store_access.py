# SPDX-License-Identifier: BSD-2-Clause
"""Access to an etcd is checked before it is written, and says where the state is."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files
from ganeti.bootstrap.etcd_members import issue_certificates
from ganeti.bootstrap.store_access import (
    StoreAccess,
    describe_store,
    has_external_store,
    read_store_access,
    write_store_access,
)
from ganeti.errors import Failed, Invalid
from ganeti.journal.etcd.store_settings import read_last_settings, read_settings
from ganeti.paths import Paths

ENDPOINTS = ("https://192.0.2.1:2379", "https://192.0.2.2:2379")


class AccessCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)
        issued = issue_certificates("test", (), time.time())
        self.authority, self.certificate = issued.authority, issued.client
        self.ca, self.client = f"{self.paths.root}/ca", f"{self.paths.root}/client"
        Path(self.ca).write_bytes(issued.authority)
        Path(self.client).write_bytes(issued.client)

    def write(self, *, in_use: bool = True, own_members: bool = False) -> None:
        access = StoreAccess(ENDPOINTS, self.authority, self.certificate, own_members=own_members)
        write_store_access(self.paths, access, "uuid", in_use=in_use)


class ReadTests(AccessCase):
    def test_it_has_the_content_of_the_files(self) -> None:
        found = read_store_access(ENDPOINTS, self.ca, self.client, automatic_failover=False)
        wanted = StoreAccess(ENDPOINTS, self.authority, self.certificate, False)
        self.assertEqual(found, wanted)

    def test_every_problem_is_told_under_its_option(self) -> None:
        with self.assertRaises(Invalid) as caught:
            read_store_access(("http://a", *ENDPOINTS, "b:1"), "/none", self.ca)
        paths = [each.path for each in caught.exception.problems]
        wanted = ["etcd-endpoints", "etcd-endpoints", "etcd-ca", "etcd-certificate"]
        self.assertEqual(paths, wanted)

    def test_only_endpoints_that_can_be_read_again_are_accepted(self) -> None:
        for endpoints in ((), ("https://",), ("https://192.0.2.1:2379/x",), ("https://a b",)):
            with self.assertRaisesRegex(Invalid, "etcd-endpoints: "):
                read_store_access(endpoints, self.ca, self.client)
        for endpoint in ("https://store.example.com:2379", "https://[2001:db8::1]:2379/"):
            found = read_store_access((endpoint,), self.ca, self.client)
            write_store_access(self.paths, found, "uuid")
            self.assertIn(endpoint, describe_store(self.paths))

    def test_a_certificate_needs_its_key(self) -> None:
        with self.assertRaisesRegex(Invalid, f"etcd-certificate: {self.ca} cannot be used"):
            read_store_access(ENDPOINTS, self.ca, self.ca)

    def test_an_authority_is_a_certificate(self) -> None:
        Path(self.ca).write_text("no certificate")
        with self.assertRaisesRegex(Invalid, f"etcd-ca: {self.ca} cannot be used"):
            read_store_access(ENDPOINTS, self.ca, self.client)


class WriteTests(AccessCase):
    def test_files_have_their_modes(self) -> None:
        self.write()
        for path in (self.paths.store_authority, self.paths.store_certificate):
            mode = os.stat(path).st_mode & 0o777
            self.assertEqual(mode, self.paths.store_files[path])
        self.assertEqual(Path(self.paths.store_certificate).read_bytes(), self.certificate)

    def test_the_settings_are_of_the_cluster(self) -> None:
        self.write()
        settings = read_settings(local_files(), self.paths.state_store)
        assert settings is not None
        self.assertEqual((settings.endpoints, settings.prefix), (ENDPOINTS, "/ganeti/uuid/"))
        self.assertEqual((settings.founded, settings.moving), (False, False))

    def test_until_the_state_is_moved_it_is_in_files(self) -> None:
        self.write(in_use=False)
        self.assertEqual(describe_store(self.paths), "files")
        self.assertIsNotNone(read_last_settings(local_files(), self.paths.state_store))


class DescribeTests(AccessCase):
    def test_without_settings_the_state_is_in_files(self) -> None:
        self.assertEqual(describe_store(self.paths), "files")
        self.assertFalse(has_external_store(self.paths))

    def test_the_members_are_named(self) -> None:
        where = "https://192.0.2.1:2379, https://192.0.2.2:2379"
        for own, told in (
            (False, f"etcd at {where}"),
            (True, f"etcd on master candidates, at {where}"),
        ):
            self.write(own_members=own)
            self.assertEqual(describe_store(self.paths), told)
            self.assertEqual(has_external_store(self.paths), not own)

    def test_an_external_one_stays_known_when_the_state_was_moved_from_it(self) -> None:
        self.write(in_use=False)
        self.assertTrue(has_external_store(self.paths))

    def test_damaged_settings_are_no_state_in_files(self) -> None:
        self.write()
        os.chmod(self.paths.state_store, 0o600)
        Path(self.paths.state_store).write_text("{")
        for ask in (describe_store, has_external_store):
            with self.assertRaisesRegex(Failed, "state-store.json is damaged"):
                ask(self.paths)
