# SPDX-License-Identifier: BSD-2-Clause
"""Bytes pass between a browser and a node's console, for a ticket."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from ganeti.errors import AccessDenied, Code, Refused, Unauthenticated
from ganeti.luxi.methods import CreateConsoleTicket
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.rapi.channel import Channel
from ganeti.rapi.console.console_visitors import CHECK_SECONDS
from ganeti.rapi.console.relay import ANSWER_TIMEOUT, MAX_OPENING, MAX_UNCONFIRMED
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import Answer, NodeClient, answers, basic

SECRET = "0123456789abcdef0123456789abcdef01234567"
PATH = f"/2/console?ticket=node2%2F{SECRET}"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
)
OPENED = (
    b"HTTP/1.1 101 \r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nX-Ganeti-Viewer: auto\r\n\r\n"
)


class RelayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.nodes: list[tuple[str, Protocol, StringTransport]] = []
        self.asker = NodeClient(
            MemoryMaster(), self.mktemp(), connect=self.connect, login_always=True
        )
        self.addCleanup(self.close)

    async def connect(self, node: str, protocol: Protocol) -> object:
        transport = StringTransport()
        self.nodes.append((node, protocol, transport))
        protocol.makeConnection(transport)
        return protocol

    def close(self) -> None:
        for _, protocol, _ in self.nodes:
            protocol.connectionLost(Failure(ConnectionDone()))
        for channel in self.asker.site.open_channels():
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.asker.clock.getDelayedCalls(), [])

    def visit(self, path: str = PATH, headers: str = HANDSHAKE) -> tuple[Channel, StringTransport]:
        channel, transport = self.asker.connect()
        channel.dataReceived(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
        return channel, transport

    def open(self) -> tuple[Channel, StringTransport, Protocol, StringTransport]:
        channel, browser = self.visit()
        _, node, transport = self.nodes[-1]
        node.dataReceived(OPENED)
        transport.clear()
        browser.clear()
        return channel, browser, node, transport

    def refusal(self, transport: StringTransport) -> Answer:
        (answer,) = answers(transport.value())
        return answer

    def test_the_handshake_is_the_nodes_with_the_ticket(self) -> None:
        _, browser = self.visit()
        ((name, node, transport),) = self.nodes
        self.assertEqual(name, "node2")
        self.assertIn(f"x-ganeti-ticket: {SECRET}".encode(), transport.value().lower())
        self.assertIn(f"sec-websocket-key: {KEY}".encode().lower(), transport.value().lower())
        node.dataReceived(OPENED[:20])
        self.assertEqual(browser.value(), b"")
        node.dataReceived(OPENED[20:] + b"first")
        self.assertEqual(browser.value(), OPENED + b"first")

    def test_bytes_pass_in_both_directions(self) -> None:
        channel, browser, node, transport = self.open()
        channel.dataReceived(b"typed")
        node.dataReceived(b"shown")
        self.assertEqual((transport.value(), browser.value()), (b"typed", b"shown"))

    def test_a_browser_that_hangs_up_leaves_the_console(self) -> None:
        channel, _, _, transport = self.open()
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(transport.disconnecting)

    def test_a_lost_node_ends_the_browsers_connection(self) -> None:
        _, browser, node, _ = self.open()
        node.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(browser.disconnecting)

    def test_each_side_is_read_as_fast_as_the_other_reads(self) -> None:
        channel, browser, _, transport = self.open()
        channel.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        channel.resumeProducing()
        assert transport.producer is not None
        transport.producer.pauseProducing()
        self.assertEqual((transport.producerState, browser.producerState), ("producing", "paused"))

    def test_who_loses_the_right_is_sent_away(self) -> None:
        for refusal in (
            AccessDenied("no role"),
            Unauthenticated("revoked"),
            Refused("the instance is gone", Code.UNKNOWN),
        ):
            _, browser, _, transport = self.open()
            self.asker.clock.advance(CHECK_SECONDS)
            self.assertFalse(browser.disconnecting)
            self.asker.rights.refusal = refusal
            self.asker.clock.advance(CHECK_SECONDS)
            self.assertTrue(browser.disconnecting and transport.disconnecting, refusal)
            self.asker.rights.refusal = None
            self.asker.rights.spent.clear()

    def test_a_master_that_is_away_ends_no_console_for_minutes(self) -> None:
        _, browser, _, _ = self.open()
        self.asker.rights.refusal = MasterNotRunning("the master daemon does not run")
        self.pass_time(MAX_UNCONFIRMED - 1)
        self.assertFalse(browser.disconnecting)
        self.asker.rights.refusal = None
        self.pass_time(60)
        self.assertFalse(browser.disconnecting)
        self.asker.rights.refusal = MasterNotRunning("the master daemon does not run")
        self.pass_time(MAX_UNCONFIRMED + 60)
        self.assertTrue(browser.disconnecting)

    def pass_time(self, seconds: float) -> None:
        self.asker.clock.pump([1.0] * int(seconds))

    def test_typing_is_told_as_a_use_and_looking_is_not(self) -> None:
        channel, _, node, _ = self.open()
        node.dataReceived(b"shown")
        self.asker.clock.advance(CHECK_SECONDS)
        channel.dataReceived(b"typed")
        self.asker.clock.advance(CHECK_SECONDS)
        self.asker.clock.advance(CHECK_SECONDS)
        self.assertEqual(self.asker.rights.watched, [False, False, True, False])

    def test_a_ticket_that_is_not_good_reaches_no_node(self) -> None:
        self.asker.rights.refusal = AccessDenied("user ann lacks the role")
        _, browser = self.visit()
        self.assertEqual((self.refusal(browser).status, self.nodes), (403, []))
        self.asker.rights.refusal = None
        self.visit()
        _, browser = self.visit()
        self.assertEqual((self.refusal(browser).status, len(self.nodes)), (409, 1))

    def test_a_refusal_of_the_node_is_answered_with_its_reason(self) -> None:
        _, browser = self.visit()
        body = b'{"explain":"the ticket was used before"}'
        head = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n" % len(body)
        _, node, transport = self.nodes[0]
        node.dataReceived(head + body)
        self.assertTrue(transport.disconnecting)
        node.connectionLost(Failure(ConnectionDone()))
        answer = self.refusal(browser)
        self.assertEqual((answer.status, answer.message), (409, "the ticket was used before"))

    def test_a_node_that_answers_nonsense_is_given_up(self) -> None:
        _, browser = self.visit()
        self.nodes[0][1].dataReceived(b"x" * 20000)
        self.nodes[0][1].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.refusal(browser).status, 502)

    def test_a_silent_node_is_given_up(self) -> None:
        self.visit()
        self.asker.clock.advance(ANSWER_TIMEOUT)
        self.assertTrue(self.nodes[0][2].disconnected)

    def test_what_is_no_handshake_reaches_no_node(self) -> None:
        for path, headers, status in (
            (PATH, "Host: x\r\n", 426),
            (PATH, HANDSHAKE.replace("13", "8"), 400),
            (PATH, HANDSHAKE.replace(KEY, "evil"), 400),
            (PATH, HANDSHAKE + "Origin: https://evil.example\r\n", 403),
            ("/2/console?ticket=node2", HANDSHAKE, 403),
            ("/2/console?ticket=node2%2F0123%0d%0aX: y", HANDSHAKE, 400),
            ("/2/console", HANDSHAKE, 400),
        ):
            _, browser = self.visit(path, headers)
            self.assertEqual(self.refusal(browser).status, status, (path, headers))
        self.assertEqual(self.nodes, [])

    def test_only_so_many_connections_are_being_opened(self) -> None:
        for _ in range(MAX_OPENING):
            self.visit()
            self.asker.rights.spent.clear()
        _, browser = self.visit()
        self.assertEqual((self.refusal(browser).status, len(self.nodes)), (503, MAX_OPENING))


class TicketTests(SynchronousTestCase):
    def setUp(self) -> None:
        answer = {"node": "node2", "address": "192.0.2.2", "ticket": SECRET}
        self.master = MemoryMaster({CreateConsoleTicket: answer})
        self.asker = NodeClient(self.master, self.mktemp())

    def test_a_ticket_is_made_for_the_user(self) -> None:
        answer = self.asker.ask("POST", "/2/instances/web1/console-ticket", {"stream": "vnc"})
        self.assertEqual(answer.value["uri"], PATH)
        (request,) = self.master.asked
        self.assertEqual(request, CreateConsoleTicket(instance="web1", stream="vnc", viewer="auto"))

    def test_a_ticket_may_be_for_taking_over(self) -> None:
        wish = {"stream": "vnc", "take_over": True}
        self.asker.ask("POST", "/2/instances/web1/console-ticket", wish)
        wanted = CreateConsoleTicket(instance="web1", stream="vnc", viewer="auto", take_over=True)
        self.assertEqual(self.master.asked, [wanted])

    def test_it_takes_the_right_to_change_something(self) -> None:
        rita = basic("rita", "xyz789")
        answer = self.asker.ask("POST", "/2/instances/web1/console-ticket", headers=rita)
        self.assertEqual((answer.status, self.master.asked), (403, []))

    def test_a_refusal_says_why(self) -> None:
        self.master.canned[CreateConsoleTicket] = Refused("instance web1 does not run")
        answer = self.asker.ask("POST", "/2/instances/web1/console-ticket")
        self.assertEqual(answer.message, "instance web1 does not run")

    def test_tickets_are_kept_out_of_the_log(self) -> None:
        events: list[str] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            events.append(str(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.asker.ask("POST", "/2/instances/web1/console-ticket")
        self.assertTrue(any("console-ticket" in event for event in events))
        self.assertFalse(any(SECRET in event for event in events))
