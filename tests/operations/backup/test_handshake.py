# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import hashlib
import hmac
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.operations.backup.handshake import Handshake, ImportEndpoint
from ganeti.pki.signatures import DomainSecret
from ganeti.testing.tools import SeededIdentifiers

SECRET = b"secret"
PLACE = ImportEndpoint("192.0.2.1", 12345, "magic-1")


def proofs(secret: bytes = SECRET) -> Handshake:
    return Handshake(DomainSecret(secret), SeededIdentifiers(Random(1)))


def signed(text: str, salt: str) -> str:
    return hmac.new(SECRET, (salt + text).encode(), hashlib.sha1).hexdigest()


class ProofTests(SynchronousTestCase):
    def refused(self, what: str, call: Any, *given: Any) -> None:
        with self.assertRaisesRegex(Refused, what) as caught:
            call(*given)
        self.assertEqual(caught.exception.code, Code.INPUT)

    def test_the_handshake_is_the_one_that_other_clusters_make(self) -> None:
        version, signature, salt = proofs().handshake()
        self.assertEqual((version, signature), (0, signed("0:Hi, I'm Ganeti", salt)))
        self.assertRegex(salt, r"\A[0-9a-f]{16}\Z")
        proofs().check_handshake((version, signature, salt))

    def test_places_are_signed_with_their_number(self) -> None:
        row = proofs().place(1, PLACE)
        self.assertEqual(row[:3], ["192.0.2.1", 12345, "magic-1"])
        self.assertEqual(row[3], signed("1:192.0.2.1:12345:magic-1", row[4]))
        self.assertEqual(proofs().check_endpoint(1, row), PLACE)
        self.refused("the endpoint of disk 0 was not signed", proofs().check_endpoint, 0, row)

    def test_a_key_name_comes_back(self) -> None:
        self.assertEqual(proofs().check_key_name(proofs().sign_key_name("x509-1")), "x509-1")

    def test_another_secret_is_refused_with_what_to_do(self) -> None:
        other = proofs(b"other")
        what = "install the same secret on both clusters"
        self.refused(what, proofs().check_handshake, other.handshake())
        self.refused(what, proofs().check_key_name, other.sign_key_name("x509-1"))
        self.refused(what, proofs().check_endpoint, 0, other.place(0, PLACE))

    def test_another_version_is_refused(self) -> None:
        self.refused("has version 1 of the handshake", proofs().check_handshake, [1, "x", "y"])

    def test_nonsense_is_refused(self) -> None:
        for nonsense in ([], ["a"], [0, 1, 2], "text", [None, None, None]):
            self.refused("must be \\[", proofs().check_handshake, nonsense)
            self.refused("must be \\[", proofs().check_endpoint, 0, nonsense)
        self.refused("an invalid port", proofs().check_endpoint, 0, ["h", 99999, "magic", "x", "y"])
