# SPDX-License-Identifier: BSD-2-Clause
"""What a node daemon answers to strangers."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Invalid, Refused
from ganeti.node.enrolment import EnrolmentForwarder
from ganeti.paths import Paths
from ganeti.pki.enrolment import AUTHORITY_CALL, ENROL_CALL, Application
from ganeti.testing.disk import MemoryDisk, MemoryFiles

APPLICATION = Application(token="a token", request="a request")


class EnrolmentTests(SynchronousTestCase):
    """A node daemon beside a master daemon, until ``membership`` is None."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        paths = Paths()
        self.disk.put(paths.authority, b"PEM", 0o644, 0)
        self.disk.put(f"{paths.data}/ssconf_master_node", b"node7\n", 0o444, 0)
        self.membership: dict[str, Any] | None = {"certificate": "PEM"}
        self.forwarded: list[Application] = []
        self.enrolment = EnrolmentForwarder(MemoryFiles(self.disk), paths, self.forward)

    async def forward(self, application: Application) -> dict[str, Any] | None:
        self.forwarded.append(application)
        return self.membership

    def refused(self, body: bytes) -> GanetiError:
        error = self.failureResultOf(self.enrolment.enrol(body), GanetiError).value
        assert isinstance(error, GanetiError)
        return error

    def test_two_calls_are_open_to_strangers(self) -> None:
        self.assertEqual(set(self.enrolment.open()), {AUTHORITY_CALL, ENROL_CALL})

    def test_everybody_may_see_the_authority(self) -> None:
        answer = self.successResultOf(self.enrolment.authority(b""))
        self.assertEqual(msgspec.json.decode(answer), [True, "PEM"])

    def test_the_master_answers_an_application(self) -> None:
        answer = self.successResultOf(self.enrolment.enrol(msgspec.json.encode(APPLICATION)))
        self.assertEqual(msgspec.json.decode(answer), [True, self.membership])
        self.assertEqual(self.forwarded, [APPLICATION])

    def test_a_node_that_is_not_the_master_names_it(self) -> None:
        self.membership = None
        error = self.refused(msgspec.json.encode(APPLICATION))
        self.assertIsInstance(error, Refused)
        self.assertIn("the master is node7; make a new token there", str(error))

    def test_nonsense_is_refused_here(self) -> None:
        for body in (b"{", b'{"token": 7, "request": ""}', b"[" * 10_000):
            self.assertIsInstance(self.refused(body), Invalid)
        self.assertEqual(self.forwarded, [])
