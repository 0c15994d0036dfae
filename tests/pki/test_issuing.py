# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import time
from pathlib import Path

from cryptography import x509
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from ganeti.errors import Failed, Invalid
from ganeti.pki.authority import Authority, create_request
from ganeti.pki.issuing import IssuingProgram
from ganeti.system.processes import LocalProcesses

NAMES = ["node2", "192.0.2.2"]


class IssuingProgramTests(TestCase):
    def setUp(self) -> None:
        self.authority = Authority.founded("cluster1", time.time())
        folder = Path(self.mktemp())
        folder.mkdir()
        self.certificate, self.key = folder / "ca.pem", folder / "ca.key"
        self.certificate.write_bytes(self.authority.certificate)
        self.key.write_bytes(self.authority.key)
        processes = LocalProcesses(reactor, reactor)
        self.issue = IssuingProgram(
            processes, str(self.certificate.absolute()), str(self.key.absolute())
        )

    async def test_a_certificate_is_issued_for_our_names(self) -> None:
        _, request = create_request("whoever")
        issued = x509.load_pem_x509_certificate(await self.issue(request, NAMES))
        names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(issued.subject.rfc4514_string(), "CN=node2")
        self.assertEqual([str(name.value) for name in names], NAMES)
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(self.authority.certificate))

    async def test_nonsense_is_invalid(self) -> None:
        with self.assertRaisesRegex(Invalid, "malformed certificate signing request"):
            await self.issue(b"nonsense", NAMES)

    async def test_without_the_key_it_says_so(self) -> None:
        self.key.unlink()
        with self.assertRaisesRegex(Failed, "No such file"):
            await self.issue(b"", NAMES)
