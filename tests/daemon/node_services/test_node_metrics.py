# SPDX-License-Identifier: BSD-2-Clause
"""A node daemon serves the numbers of its host, and does its work if it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.node_metrics import default_address, metrics_site, serve_metrics
from ganeti.metrics.family import MetricFamily, make_gauge


async def one() -> Iterable[MetricFamily]:
    return [make_gauge("ganeti_host_cpus", "Processors.", 4)]


async def broken() -> Iterable[MetricFamily]:
    raise OSError("no such file")


class SiteTests(SynchronousTestCase):
    def ask(self, path: str, collect: Any = one, method: str = "GET") -> bytes:
        channel = metrics_site(collect, Clock()).buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        answer: bytes = transport.value()
        return answer

    def test_the_numbers_are_there_and_nothing_else(self) -> None:
        answer = self.ask("/metrics")
        self.assertIn(b"200 OK", answer)
        self.assertIn(b"\nganeti_host_cpus 4.0\n", answer)
        self.assertIn(b"404", self.ask("/").split(b"\r\n")[0])
        self.assertIn(b"405", self.ask("/metrics", method="POST").split(b"\r\n")[0])

    def test_numbers_that_cannot_be_had_are_an_error_in_the_log(self) -> None:
        self.assertIn(b"500", self.ask("/metrics", broken).split(b"\r\n")[0])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_without_being_told_only_this_host_can_read_them(self) -> None:
        self.assertEqual(default_address("192.0.2.1"), "127.0.0.1")
        self.assertEqual(default_address("0.0.0.0"), "127.0.0.1")
        self.assertEqual(default_address("127.200.1.2"), "127.200.1.2")

    def test_a_port_that_is_taken_does_not_stop_the_daemon(self) -> None:
        class Reactor:
            def listenTCP(self, port: int, factory: object, interface: str) -> None:
                raise CannotListenError(interface, port, OSError("in use"))

        self.assertIsNone(serve_metrics(Reactor(), "127.0.0.1", 1812, one))
