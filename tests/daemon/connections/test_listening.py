# SPDX-License-Identifier: BSD-2-Clause
"""What is told to the kernel of sockets that listen."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ganeti.daemon.connections.listening import (
    disable_nagle,
    limit_unsent,
    listen_at,
    reach,
)
from ganeti.errors import Refused, Unreachable

reactor: Any = installed


class OptionTests(SynchronousTestCase):
    def accepted(self, tell: Callable[[Any], None], option: int) -> int:
        """What a connection has that is accepted after the port was told something."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            tell(SimpleNamespace(socket=listening))
            with socket.create_connection(listening.getsockname()):
                accepted, _ = listening.accept()
                with accepted:
                    return accepted.getsockopt(socket.IPPROTO_TCP, option)

    def test_unsent_bytes_are_bounded_for_connections_that_are_accepted(self) -> None:
        bound = self.accepted(lambda port: limit_unsent(port, 12345), socket.TCP_NOTSENT_LOWAT)
        self.assertEqual(bound, 12345)

    def test_connections_that_are_accepted_send_at_once(self) -> None:
        self.assertEqual(self.accepted(disable_nagle, socket.TCP_NODELAY), 1)


class PortTests(TestCase):
    """Ports of other programs, on loopback."""

    def setUp(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        self.listening = listening
        self.port: int = listening.getsockname()[1]

    async def test_the_error_for_a_port_that_is_used_says_what_to_do(self) -> None:
        endpoint = TCP4ServerEndpoint(reactor, self.port, interface="127.0.0.1")
        with self.assertRaisesRegex(Refused, "another program uses this port; stop it, or choose"):
            await listen_at(endpoint, Factory(), "127.0.0.1", self.port)

    async def test_a_host_that_accepts_connections_is_reachable(self) -> None:
        await reach(reactor, "127.0.0.1", self.port)

    async def test_a_host_that_refuses_them_is_not(self) -> None:
        self.listening.close()
        with self.assertRaisesRegex(Unreachable, "connection refused"):
            await reach(reactor, "127.0.0.1", self.port)
