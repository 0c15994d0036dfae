# SPDX-License-Identifier: BSD-2-Clause
"""What is told to the kernel of sockets that listen."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.listening import disable_nagle, limit_unsent


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
