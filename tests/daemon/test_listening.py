# SPDX-License-Identifier: BSD-2-Clause
"""What is told to the kernel of sockets that listen."""

from __future__ import annotations

import socket
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.listening import keep_unsent


class UnsentTests(SynchronousTestCase):
    def test_the_bound_holds_for_connections_that_are_accepted(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            keep_unsent(SimpleNamespace(socket=listening), 12345)
            with socket.create_connection(listening.getsockname()):
                accepted, _ = listening.accept()
                with accepted:
                    bound = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        self.assertEqual(bound, 12345)
