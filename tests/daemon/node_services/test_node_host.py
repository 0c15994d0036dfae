# SPDX-License-Identifier: BSD-2-Clause
"""Connections to the sockets of guests on this host."""

from __future__ import annotations

import shutil
import socket
import tempfile
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from ganeti.daemon.node_services.node_host import GuestConnector
from ganeti.errors import Code, Failed
from ganeti.hypervisor.interfaces import ConsoleSocket

reactor: Any = installed


class Viewer(Protocol):
    """Collects what a console writes until the end of the connection."""

    def __init__(self) -> None:
        self.received = b""
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class GuestConnectorTests(TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()  # short, as the paths of sockets are bounded
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = f"{self.folder}/console"
        self.connect = GuestConnector(reactor)

    def listen(self, family: int, address: Any) -> socket.socket:
        """Return a socket of a guest that accepts connections."""
        listening = socket.socket(family)
        self.addCleanup(listening.close)
        listening.bind(address)
        listening.listen()
        return listening

    async def test_a_console_is_a_unix_socket_or_a_port_of_this_host(self) -> None:
        local = self.listen(socket.AF_UNIX, self.path)
        remote = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        for console, listening in (
            (ConsoleSocket(path=self.path), local),
            (ConsoleSocket(host="127.0.0.1", port=remote.getsockname()[1]), remote),
        ):
            viewer = Viewer()
            await self.connect(console, viewer)
            guest, _ = listening.accept()
            guest.sendall(b"login: ")
            guest.close()
            await viewer.ended
            self.assertEqual(viewer.received, b"login: ")

    async def test_a_console_that_is_gone_is_named(self) -> None:
        self.listen(socket.AF_UNIX, self.path).close()
        with self.assertRaisesRegex(Failed, f"console cannot be reached at {self.path}") as caught:
            await self.connect(ConsoleSocket(path=self.path), Viewer())
        self.assertEqual(caught.exception.code, Code.ENVIRONMENT)
