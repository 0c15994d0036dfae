# SPDX-License-Identifier: BSD-2-Clause
"""A server of the event stream, whose master is the test."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.api_metrics import ApiMetrics
from ganeti.rapi.channel import Channel
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.site import ApiSite
from ganeti.testing.events import MemoryEvents
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import AUTO, NOW, NodeClient


class EventCase(SynchronousTestCase):
    max_bytes = 1 << 20

    def setUp(self) -> None:
        self.asker = NodeClient(MemoryMaster(), self.mktemp())
        self.clock = self.asker.clock
        self.master = MemoryEvents(self.clock)
        self.master.commit_change("web0")
        self.restart_api()

    def restart_api(self) -> None:
        """A new process of the remote API, which knows nothing."""
        authenticator = self.asker.site.resource._api.authenticator
        self.hub = EventHub(self.master, self.clock, max_bytes=self.max_bytes, max_subscribers=3)
        api = Api(self.master, authenticator, lambda: NOW, self.hub, ApiMetrics())
        self.asker.site = ApiSite(resource_tree(ROUTES, api), self.clock)
        self.addCleanup(self.hub.stop)

    def request(
        self, query: str = "", headers: str = AUTO, method: str = "GET"
    ) -> tuple[Channel, StringTransport]:
        """A client's connection, on which it has asked for the stream."""
        channel, transport = self.asker.connect()
        request = f"{method} /2/events{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        channel.dataReceived(request.encode())
        self.turn()
        return channel, transport

    def hang_up(self, channel: Channel) -> None:
        channel.connectionLost(Failure(ConnectionDone()))

    def turn(self) -> None:
        self.clock.pump([0.0] * 3 + [0.01] * 3)

    def change(self, *names: str, **over: Any) -> None:
        self.master.commit_change(*names, **over)
        self.turn()
