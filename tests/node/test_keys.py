# SPDX-License-Identifier: BSD-2-Clause
"""Keys for other clusters live a day at most, and only their node has them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.node.keys import Keys
from ganeti.rpc.transfers import CreateCertificate, NewCertificate, RemoveCertificate
from ganeti.testing.disk import MemoryDisk, MemoryFiles

NOW, DAY = 1_700_000_000.0, 24 * 3600
FOLDER = "/run/crypto"


class KeysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.disk = Clock(), MemoryDisk()
        self.clock.advance(NOW)
        self.keys = Keys(MemoryFiles(self.disk, self.clock), FOLDER, self.clock.seconds)

    def finish(self, work: Any) -> Any:
        begun = Deferred.fromCoroutine(work)
        self.clock.pump([0.0] * 20)
        return self.successResultOf(begun)

    def create(self, validity: int = 600) -> NewCertificate:
        made: NewCertificate = self.finish(self.keys.create(CreateCertificate(validity=validity)))
        return made

    def remove(self, name: str) -> None:
        self.finish(self.keys.remove(RemoveCertificate(name=name)))

    def refusal(self, name: str) -> Refused:
        with self.assertRaises(Refused) as caught:
            self.keys.pair(name)
        error: Refused = caught.exception
        return error

    def test_a_key_and_its_certificate_are_found_by_their_name(self) -> None:
        made = self.create()
        key, certificate = self.keys.pair(made.name)
        contents = self.disk.contents()
        self.assertEqual(contents[certificate].decode(), made.certificate)
        self.assertIn(b"PRIVATE KEY", contents[key])
        self.assertNotIn("PRIVATE", made.certificate)

    def test_two_keys_of_the_same_second_are_different(self) -> None:
        first, second = self.create(), self.create()
        self.assertNotEqual(first.name, second.name)
        self.assertNotEqual(self.keys.pair(first.name), self.keys.pair(second.name))

    def test_a_certificate_is_valid_as_long_as_was_asked_but_a_day_at_most(self) -> None:
        for asked, granted in ((600, 600), (DAY, DAY), (30 * DAY, DAY)):
            made = self.create(asked)
            found = x509.load_der_x509_certificate(ssl.PEM_cert_to_DER_cert(made.certificate))
            until = datetime.fromtimestamp(NOW + granted, UTC)
            self.assertEqual(found.not_valid_after_utc, until)

    def test_a_key_that_was_removed_is_refused_with_what_to_do(self) -> None:
        made = self.create()
        for _ in range(2):
            self.remove(made.name)
            refused = self.refusal(made.name)
            self.assertIn(f"this node has no key named {made.name}: it belongs to", str(refused))
            self.assertIn("prepare the export again", str(refused))
            self.assertEqual(refused.code, Code.UNKNOWN)
        self.assertEqual(self.disk.contents(), {})

    def test_a_name_that_is_no_name_of_a_key_leads_nowhere(self) -> None:
        self.disk.put("/run/secret/cert", b"", 0o600, NOW)
        self.disk.put("/run/secret/key", b"", 0o600, NOW)
        for name in ("../secret", "/run/secret", "x509-a/../../secret", "x509-a\n", ""):
            self.refusal(name)
            self.remove(name.strip())
        self.assertEqual(len(self.disk.contents()), 2)

    def test_keys_that_have_expired_are_removed_with_the_next_one(self) -> None:
        old = self.create()
        self.clock.advance(DAY)
        young = self.create()
        self.keys.pair(old.name)
        self.clock.advance(1)
        self.create()
        self.refusal(old.name)
        self.keys.pair(young.name)

    def test_a_key_without_its_certificate_is_removed_with_the_next_one(self) -> None:
        self.disk.add_folder(f"{FOLDER}/x509-1-broken", 0o700)
        self.disk.put(f"{FOLDER}/x509-1-broken/key", b"key", 0o400, NOW)
        self.create()
        self.assertNotIn(f"{FOLDER}/x509-1-broken/key", self.disk.contents())
