# SPDX-License-Identifier: BSD-2-Clause
"""Consoles are opened by tickets, shared by viewers, and left in order."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from ganeti.errors import Refused
from ganeti.hypervisor.interfaces import ConsoleSocket, ConsoleStream
from ganeti.node.console_viewers import SLOW_SECONDS, VIEWER_HEADER
from ganeti.node.consoles import MAX_VIEWERS, Consoles
from ganeti.rpc.callers import CallerRole, Peer
from ganeti.rpc.instances import TICKET_SECONDS, PrepareConsole
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import RpcSite
from ganeti.testing.builders import a_guest
from ganeti.testing.callers import FixedCallers
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.web.web_socket import MAX_TEXT, PING_SECONDS

SERIAL = ConsoleSocket(path="/run/web1.serial")
SCREEN = ConsoleSocket(host="127.0.0.1", port=5900)


class Client:
    """A client of the stream, over the real HTTP channel, and what it has received."""

    def __init__(self, site: RpcSite, ticket: str) -> None:
        self.channel = site.buildProtocol(None)
        self.transport = StringTransport()
        self.channel.makeConnection(self.transport)
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._unread: list[Event] = []
        header = [(b"X-Ganeti-Ticket", ticket.encode())]
        self.send(Request(host="node1", target="/console", extra_headers=header))
        self._receive()

    def send(self, event: Event) -> None:
        self.channel.dataReceived(self._wire.send(event))

    def _receive(self) -> None:
        self._wire.receive_data(self.transport.value())
        self.transport.clear()
        self._unread += self._wire.events()

    def read(self) -> list[Event]:
        """What has come since it was read before."""
        self._receive()
        unread, self._unread = self._unread, []
        return unread

    def shown(self) -> bytes:
        return b"".join(bytes(e.data) for e in self.read() if isinstance(e, BytesMessage))

    def status(self) -> dict[str, Any]:
        """Who is there and who may type, as it was told last."""
        texts = [event.data for event in self.read() if isinstance(event, TextMessage)]
        status: dict[str, Any] = json.loads(texts[-1])
        return status

    def told(self) -> list[str]:
        """The viewers, as it was told last."""
        names: list[str] = self.status()["viewers"]
        return names

    def types(self, data: bytes) -> None:
        self.send(BytesMessage(data=data))


class ConsolesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.hypervisor = MemoryHypervisor()
        self.hypervisor.sockets = {ConsoleStream.SERIAL: SERIAL, ConsoleStream.VNC: SCREEN}
        self.successResultOf(self.hypervisor.start(a_guest("web1"), []))
        self.opened: list[tuple[ConsoleSocket, Protocol, StringTransport]] = []
        numbers = count()
        self.callers = FixedCallers({"aa": CallerRole.MASTER})
        self.consoles = Consoles(
            {"fake": self.hypervisor}, self.connect, self.clock, lambda: f"secret{next(numbers)}"
        )
        self.site = RpcSite(
            CallHandlers(lambda: 0),
            lambda _: Peer("node1", "aa"),
            self.callers,
            self.clock,
            streams={"console": self.consoles.open},
        )
        self.site.doStart()
        self.addCleanup(self.close)

    async def connect(self, socket: ConsoleSocket, protocol: Protocol) -> object:
        transport = StringTransport()
        self.opened.append((socket, protocol, transport))
        protocol.makeConnection(transport)
        return protocol

    def close(self) -> None:
        self.site.doStop()
        for channel in self.site.open_channels():
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def ticket(
        self, viewer: str = "anna", stream: str = "serial", *, take_over: bool = False
    ) -> str:
        call = PrepareConsole(
            guest=a_guest("web1"), stream=stream, viewer=viewer, take_over=take_over
        )
        found: str = self.successResultOf(self.consoles.prepare(call))
        return found

    def visit(self, viewer: str = "anna", stream: str = "serial") -> Client:
        return Client(self.site, self.ticket(viewer, stream))

    def take_over(self, viewer: str, stream: str = "serial") -> Client:
        return Client(self.site, self.ticket(viewer, stream, take_over=True))

    def refusal(self, client: Client) -> str:
        rejection, *rest = client.read()
        assert isinstance(rejection, RejectConnection), rejection
        body = b"".join(bytes(each.data) for each in rest if isinstance(each, RejectData))
        return f"{rejection.status_code} {json.loads(body)['explain']}"

    def test_what_is_typed_reaches_the_guest_and_what_it_writes_is_shown(self) -> None:
        client = self.visit()
        client.read()
        ((socket, line, transport),) = self.opened
        self.assertEqual(socket, SERIAL)
        client.send(BytesMessage(data=b"ls\r"))
        self.assertEqual(transport.value(), b"ls\r")
        line.dataReceived(b"file\r\n")
        self.assertEqual(client.shown(), b"file\r\n")

    def test_a_ticket_is_good_once(self) -> None:
        ticket = self.ticket()
        Client(self.site, ticket)
        self.assertIn("409 the ticket was used before", self.refusal(Client(self.site, ticket)))

    def test_a_ticket_is_good_for_a_short_time(self) -> None:
        ticket = self.ticket()
        self.clock.advance(TICKET_SECONDS + 1)
        self.assertIn("is too old", self.refusal(Client(self.site, ticket)))
        self.assertEqual(self.opened, [])

    def test_a_guest_without_such_a_console_is_refused_with_what_to_do(self) -> None:
        self.hypervisor.sockets = {}
        call = PrepareConsole(guest=a_guest("web1"), stream="vnc", viewer="anna")
        refused = self.failureResultOf(self.consoles.prepare(call), Refused)
        self.assertIn("set its hypervisor parameter vnc_bind_address", str(refused.value))

    def test_viewers_of_a_line_share_it_and_know_of_each_other(self) -> None:
        first, second = self.visit("anna"), self.visit("bert")
        ((_, line, _),) = self.opened
        self.assertEqual(first.told(), ["anna", "bert"])
        self.assertEqual(second.told(), ["anna", "bert"])
        line.dataReceived(b"login: ")
        self.assertEqual((first.shown(), second.shown()), (b"login: ", b"login: "))

    def test_a_further_viewer_sees_what_was_shown_before(self) -> None:
        self.visit("anna")
        self.opened[0][1].dataReceived(b"login: ")
        self.assertEqual(self.visit("bert").shown(), b"login: ")

    def test_who_leaves_is_told_and_the_last_one_frees_the_console(self) -> None:
        first, second = self.visit("anna"), self.visit("bert")
        ((_, _, transport),) = self.opened
        first.read()
        first.send(CloseConnection(code=1000))
        self.assertEqual(second.told(), ["bert"])
        self.assertFalse(transport.disconnecting)
        second.channel.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(transport.disconnecting)

    def test_each_viewer_of_a_screen_has_a_connection(self) -> None:
        first, second = self.visit("anna", "vnc"), self.visit("bert", "vnc")
        self.assertEqual([socket for socket, _, _ in self.opened], [SCREEN, SCREEN])
        self.opened[0][1].dataReceived(b"RFB 003.008\n")
        self.assertEqual((first.shown(), second.shown()), (b"RFB 003.008\n", b""))

    def test_viewers_of_a_screen_know_of_each_other(self) -> None:
        first, second = self.visit("anna", "vnc"), self.visit("bert", "vnc")
        self.assertEqual((first.status()["you"], second.status()["you"]), (0, 1))
        second.send(CloseConnection(code=1000))
        self.assertEqual(first.told(), ["anna"])
        self.assertTrue(self.opened[1][2].disconnecting)

    def test_who_takes_over_types_alone(self) -> None:
        first, second = self.visit("anna"), self.take_over("bert")
        ((_, _, transport),) = self.opened
        first.types(b"no")
        second.types(b"yes")
        self.assertEqual(transport.value(), b"yes")
        status = first.status()
        self.assertEqual((status["controller"], status["watching"]), (1, [0]))

    def test_all_may_type_again_when_who_has_taken_over_leaves(self) -> None:
        first, second = self.visit("anna"), self.take_over("bert")
        second.send(CloseConnection(code=1000))
        first.types(b"ls")
        self.assertEqual(self.opened[0][2].value(), b"ls")
        self.assertEqual(first.told(), ["anna"])

    def test_the_last_one_who_takes_over_has_the_console(self) -> None:
        first = self.take_over("anna")
        self.take_over("bert")
        self.assertEqual(first.status()["watching"], [0])
        again = self.take_over("anna")
        self.assertEqual((again.status()["you"], first.status()["watching"]), (2, [0, 1]))

    def test_who_chooses_to_watch_types_nothing_until_it_chooses_otherwise(self) -> None:
        first, second = self.visit("anna"), self.visit("bert")
        first.send(TextMessage(data='{"watch": true}'))
        first.types(b"no")
        self.assertEqual(second.status()["watching"], [0])
        first.send(TextMessage(data='{"watch": false}'))
        first.types(b"yes")
        self.assertEqual(self.opened[0][2].value(), b"yes")

    def test_who_has_taken_over_gives_it_back_by_watching(self) -> None:
        first, second = self.visit("anna"), self.take_over("bert")
        second.send(TextMessage(data='{"watch": true}'))
        self.assertEqual(first.status()["controller"], None)
        first.types(b"ls")
        self.assertEqual(self.opened[0][2].value(), b"ls")

    def test_the_protocol_of_a_screen_goes_on_for_those_who_watch(self) -> None:
        first = self.visit("anna", "vnc")
        self.take_over("bert", "vnc")
        first.types(b"update please")
        self.assertEqual(self.opened[0][2].value(), b"update please")
        self.assertEqual(first.status()["watching"], [0])

    def test_other_text_messages_are_refused(self) -> None:
        for text in ('"ls"', '{"watch": 1}', "[" * MAX_TEXT, "x" * (MAX_TEXT + 1)):
            client = self.visit()
            client.send(TextMessage(data=text))
            self.assertIsInstance(client.read()[-1], CloseConnection, text)

    def test_a_text_message_may_come_in_parts(self) -> None:
        client = self.visit()
        client.send(TextMessage(data='{"watch"', message_finished=False))
        client.send(TextMessage(data=": true}", message_finished=True))
        self.assertEqual(client.status()["watching"], [0])

    def test_viewers_are_told_that_the_guest_has_ended(self) -> None:
        client = self.visit()
        self.opened[0][1].connectionLost(Failure(ConnectionDone()))
        closed = client.read()[-1]
        assert isinstance(closed, CloseConnection)
        self.assertIn("the console of instance web1 has ended", closed.reason or "")
        self.visit()
        self.assertEqual(len(self.opened), 2)

    def test_a_slow_viewer_holds_the_guest_up_and_is_cut_off(self) -> None:
        client = self.visit()
        ((_, _, transport),) = self.opened
        client.channel.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        self.clock.advance(SLOW_SECONDS)
        self.assertTrue(client.transport.disconnected)

    def test_a_viewer_that_reads_on_is_shown_more(self) -> None:
        client = self.visit()
        client.channel.pauseProducing()
        client.channel.resumeProducing()
        self.assertEqual(self.opened[0][2].producerState, "producing")

    def test_a_viewer_whose_computer_sleeps_is_gone_after_a_while(self) -> None:
        awake, asleep = self.visit("anna"), self.visit("bert")
        (ping,) = (event for event in awake.read() if isinstance(event, Ping))
        awake.send(ping.response())
        self.clock.advance(PING_SECONDS)
        self.assertTrue(asleep.transport.disconnected)
        self.assertFalse(awake.transport.disconnected)
        self.assertEqual(awake.told(), ["anna"])

    def test_the_remote_api_is_told_who_it_is(self) -> None:
        (accepted, *_) = self.visit("Änne").read()
        assert isinstance(accepted, AcceptConnection)
        self.assertIn((VIEWER_HEADER.lower(), b"%C3%84nne"), accepted.extra_headers)

    def test_only_so_many_are_at_one_console(self) -> None:
        for number in range(MAX_VIEWERS):
            self.visit(f"user{number}")
        self.assertIn("viewers are at this console", self.refusal(self.visit()))

    def test_only_so_many_are_at_one_screen(self) -> None:
        for number in range(MAX_VIEWERS):
            self.visit(f"user{number}", "vnc")
        self.assertIn("viewers are at this console", self.refusal(self.visit("last", "vnc")))
        self.assertEqual(len(self.opened), MAX_VIEWERS)

    def test_the_daemon_sends_everybody_away_when_it_ends(self) -> None:
        clients = [self.visit(), self.visit(stream="vnc")]
        self.consoles.close()
        for client in clients:
            self.assertIsInstance(client.read()[-1], CloseConnection)

    def test_a_node_that_is_no_master_candidate_opens_no_console(self) -> None:
        self.callers.roles["aa"] = CallerRole.NODE
        self.assertIn("403", self.refusal(self.visit()))
        self.assertEqual(self.opened, [])
