# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IStreams`` does; a subclass says which one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from ganeti.errors import Failed
from ganeti.system.interfaces import (
    ConnectingEndpoint,
    FileEndpoint,
    IListening,
    IStreams,
    ITransfer,
    ListeningEndpoint,
    StreamPeer,
)

if TYPE_CHECKING:
    Case = TestCase
else:
    Case = object

HERE = "127.0.0.1"
GREETING = b"M=magic"


class StreamsContract(Case):
    """Flows between two parties that trust each other, ``sender`` and ``receiver``."""

    streams: IStreams
    sender: StreamPeer
    receiver: StreamPeer

    def put(self, name: str, content: bytes) -> str:
        """A file of this test with this content; answers its path."""
        raise NotImplementedError

    def content(self, path: str) -> bytes | None:
        """What is in a file, or None if there is none."""
        raise NotImplementedError

    def path(self, name: str) -> str:
        """Where a file of this name can be made."""
        raise NotImplementedError

    async def soon(self) -> None:
        """Let time pass until flows that can end have."""
        raise NotImplementedError

    def receive(self, sink: FileEndpoint, patience: float = 5) -> tuple[ITransfer, int]:
        listening = self.streams.listen(HERE)
        verifyObject(IListening, listening)
        port = listening.port
        source = ListeningEndpoint(listening, self.receiver, GREETING, patience)
        return self.streams.start_transfer(source, sink), port

    def send(self, path: str, port: int, greeting: bytes = GREETING, tries: int = 1) -> ITransfer:
        sink = ConnectingEndpoint(HERE, port, self.sender, greeting, 5, tries)
        return self.streams.start_transfer(FileEndpoint(path), sink)

    async def over(self, flow: ITransfer) -> str:
        """How a flow has ended: nothing if well."""
        ending = Deferred.fromCoroutine(flow.ended())
        while not ending.called:
            await self.soon()
        try:
            await ending
        except Failed as e:
            return str(e)
        return ""

    async def test_they_are_what_they_say(self) -> None:
        verifyObject(IStreams, self.streams)
        flow = self.streams.start_transfer(
            FileEndpoint(self.put("a", b"x")), FileEndpoint(self.path("b"), True)
        )
        verifyObject(ITransfer, flow)
        self.assertEqual(await self.over(flow), "")

    async def test_a_file_becomes_another(self) -> None:
        source = self.put("a", b"text" * 1000)
        flow = self.streams.start_transfer(
            FileEndpoint(source), FileEndpoint(self.path("b"), create=True)
        )
        self.assertEqual(await self.over(flow), "")
        self.assertEqual(self.content(self.path("b")), b"text" * 1000)
        self.assertEqual(flow.progress().moved, 4000)

    async def test_a_sender_has_ended_when_the_receiver_says_so(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        sending = self.send(self.put("a", b"data"), port)
        self.assertEqual(await self.over(receiving), "")
        waiting = Deferred.fromCoroutine(sending.ended())
        await self.soon()
        self.assertFalse(waiting.called)
        receiving.finish(well=True)
        while not waiting.called:
            await self.soon()
        self.assertEqual(await self.over(sending), "")
        self.assertEqual(self.content(self.path("b")), b"data")

    async def test_a_sender_fails_with_its_receiver(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        sending = self.send(self.put("a", b"data"), port)
        self.assertEqual(await self.over(receiving), "")
        receiving.finish(well=False)
        self.assertIn("closed the connection", await self.over(sending))

    async def test_a_stopped_receiver_is_heard_by_nobody_else(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        receiving.stop()
        self.assertIn("canceled", await self.over(receiving))
        sending = self.send(self.put("a", b"data"), port)
        self.assertIn("cannot be reached", await self.over(sending))

    async def test_nobody_is_awaited_for_ever(self) -> None:
        receiving, _ = self.receive(FileEndpoint(self.path("b"), create=True), patience=0.05)
        self.assertIn("no connection within 0.05 seconds", await self.over(receiving))

    async def test_who_knows_no_greeting_is_turned_away(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        stranger = self.send(self.put("a", b"data"), port, b"M=other")
        self.assertNotEqual(await self.over(stranger), "")
        sending = self.send(self.put("a", b"data"), port)
        self.assertEqual(await self.over(receiving), "")
        receiving.finish(well=True)
        self.assertEqual(await self.over(sending), "")
