# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon of the master connects the remote APIs of other candidates with its socket."""

from __future__ import annotations

import json

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.node.master_tunnel import MasterTunnels
from ganeti.rpc.callers import CallerRole, Peer
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import RpcSite
from ganeti.rpc.tunnels import LUXI_TUNNEL
from ganeti.testing.callers import FixedCallers
from tests.rpc.talking import answers

MOST = 3
HEAD = b"GET /luxi HTTP/1.1\r\nHost: node1\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
OPEN = HEAD % b"ganeti-luxi"


class Master(StringTransport):
    """The socket of the master daemon, and the protocol at our end of it."""

    protocol: Protocol

    def end(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


class MasterTunnelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.masters: list[Master] = []
        self.runs = True
        self.clock = Clock()
        self.callers = FixedCallers({"aa": CallerRole.CANDIDATE})
        self.site = RpcSite(
            CallHandlers(lambda: 0),
            lambda _: Peer("node2", "aa"),
            self.callers,
            self.clock,
            tunnels={LUXI_TUNNEL: MasterTunnels(self.connect, max_tunnels=MOST).open},
        )
        self.site.doStart()
        self.addCleanup(self.close)

    async def connect(self, protocol: Protocol) -> None:
        if not self.runs:
            raise Refused("the master daemon is not running")
        master = Master()
        master.protocol = protocol
        self.masters.append(master)
        protocol.makeConnection(master)

    def close(self) -> None:
        self.site.doStop()
        for channel in self.site.open_channels():
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def visit(self, request: bytes = OPEN) -> StringTransport:
        """A client that has sent this, and what it has received."""
        self.channel = self.site.buildProtocol(None)
        transport = StringTransport()
        self.channel.makeConnection(transport)
        self.channel.dataReceived(request)
        return transport

    def refusal(self, request: bytes = OPEN) -> tuple[int, str]:
        [(status, body)] = answers(self.visit(request).value())
        return status, json.loads(body)["explain"]

    def test_a_candidate_gets_what_the_master_daemon_sends(self) -> None:
        client = self.visit()
        head, _, rest = client.value().partition(b"\r\n\r\n")
        self.assertIn(b"HTTP/1.1 101 Switching Protocols\r\n", head)
        self.assertIn(b"Upgrade: ganeti-luxi", head)
        self.assertEqual(rest, b"")
        client.clear()
        [master] = self.masters
        self.channel.dataReceived(b"question\x03")
        self.assertEqual(master.value(), b"question\x03")
        master.protocol.dataReceived(b"answer\x03")
        self.assertEqual(client.value(), b"answer\x03")

    def test_other_nodes_get_no_connection(self) -> None:
        self.callers.roles["aa"] = CallerRole.NODE
        status, why = self.refusal()
        self.assertEqual((status, self.masters), (403, []))
        self.assertIn("node2 is not a master candidate", why)

    def test_a_host_without_a_master_says_so(self) -> None:
        self.runs = False
        self.assertEqual(self.refusal(), (409, "the master daemon is not running"))

    def test_other_protocols_are_refused(self) -> None:
        status, why = self.refusal(HEAD % b"smtp")
        self.assertEqual(status, 409)
        self.assertIn("does not ask for an upgrade to LUXI", why)

    def test_the_number_of_connections_is_limited(self) -> None:
        for _ in range(MOST):
            self.visit()
        self.assertIn("3 connections of remote APIs", self.refusal()[1])
        self.masters[0].end()
        self.assertIn(b" 101 ", self.visit().value())

    def test_the_end_of_the_master_daemon_ends_the_connection(self) -> None:
        client = self.visit()
        self.masters[0].end()
        self.assertTrue(client.disconnecting)

    def test_a_client_that_disconnects_cancels_its_request_at_the_master(self) -> None:
        self.visit()
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.masters[0].disconnected)

    def test_a_slow_client_makes_the_master_daemon_wait(self) -> None:
        client = self.visit()
        assert client.producer is not None
        client.producer.pauseProducing()
        self.assertEqual(self.masters[0].producerState, "paused")
        client.producer.resumeProducing()
        self.assertEqual(self.masters[0].producerState, "producing")
