# SPDX-License-Identifier: BSD-2-Clause
"""A node daemon passes requests of new nodes on to the master, if it is on this host."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import TestCase

from ganeti.daemon.node_services.master_forwarder import MasterForwarder
from ganeti.errors import Refused
from ganeti.luxi.connection import LuxiService
from ganeti.luxi.server import LuxiMethods
from ganeti.paths import Paths
from ganeti.pki.enrolment import Application
from ganeti.testing.gates import OpenGate

reactor: Any = installed
APPLICATION = Application(token="the token", request="the request")


class ForwarderTests(TestCase):
    def setUp(self) -> None:
        # In a short path of its own: those of sockets are bounded.
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        self.paths = Paths(root)
        self.asked: list[tuple[str, str]] = []
        self.refusal: Refused | None = None
        self.forward = MasterForwarder(reactor, self.paths)

    async def enrol(self, token: str, request: str) -> dict[str, object]:
        self.asked.append((token, request))
        if self.refusal is not None:
            raise self.refusal
        return {"certificate": "granted"}

    def serve(self) -> None:
        """Start a master on this host."""
        os.makedirs(self.paths.sockets)
        methods = LuxiMethods({"EnrolNode": self.enrol}, OpenGate())
        master = LuxiService(reactor, [self.paths.master_socket], methods)
        master.startService()
        self.addCleanup(lambda: maybeDeferred(master.stopService))

    async def test_the_master_decides(self) -> None:
        self.serve()
        self.assertEqual(await self.forward(APPLICATION), {"certificate": "granted"})
        self.assertEqual(self.asked, [("the token", "the request")])

    async def test_what_the_master_refuses_is_refused(self) -> None:
        self.serve()
        self.refusal = Refused("the token has expired")
        with self.assertRaisesRegex(Refused, "the token has expired"):
            await self.forward(APPLICATION)

    async def test_without_a_master_on_this_host_there_is_no_answer(self) -> None:
        self.assertIs(await self.forward(APPLICATION), None)

    async def test_a_master_that_starts_later_is_found(self) -> None:
        await self.forward(APPLICATION)
        self.serve()
        self.assertEqual(await self.forward(APPLICATION), {"certificate": "granted"})
