# SPDX-License-Identifier: BSD-2-Clause
"""Flows of this host over real sockets and pipes, and their double in memory."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from ganeti.pki.authority import create_self_signed
from ganeti.system.interfaces import (
    ConnectingEndpoint,
    FileEndpoint,
    ListeningEndpoint,
    PipeEndpoint,
    StreamPeer,
)
from ganeti.system.streams import LocalStreams
from ganeti.testing.disk import MemoryDisk
from ganeti.testing.streams import MemoryStreams
from tests.contracts.streams import GREETING, HERE, StreamsContract

reactor: Any = installed
NAME = "ganeti.example.com"


class MemoryStreamsTests(StreamsContract, TestCase):
    def setUp(self) -> None:
        self.clock, self.disk = Clock(), MemoryDisk()
        self.streams = MemoryStreams(self.disk, self.clock)
        self.sender = StreamPeer("/s.key", self.put("s.crt", b"sender"), "receiver", NAME)
        self.receiver = StreamPeer("/r.key", self.put("r.crt", b"receiver"), "sender", NAME)

    def put(self, name: str, content: bytes) -> str:
        self.disk.put(self.path(name), content, 0o600, 0.0)
        return self.path(name)

    def content(self, path: str) -> bytes | None:
        return self.disk.contents().get(path)

    def path(self, name: str) -> str:
        return f"/{name}"

    async def soon(self) -> None:
        self.clock.advance(1)


class LocalStreamsTests(StreamsContract, TestCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.folder = f"{os.getcwd()}/{self.mktemp()}"
        os.mkdir(self.folder)
        self.streams = LocalStreams(reactor)
        now = time.time()
        made = {each: create_self_signed(NAME, now, timedelta(hours=1)) for each in ("s", "r", "x")}
        parties = {
            each: (self.put(f"{each}.key", one.key), self.put(f"{each}.crt", one.certificate))
            for each, one in made.items()
        }
        trusted = {each: one.certificate.decode() for each, one in made.items()}
        self.sender = StreamPeer(*parties["s"], trusted["r"], NAME)
        self.receiver = StreamPeer(*parties["r"], trusted["s"], NAME)
        self.stranger = StreamPeer(*parties["x"], trusted["r"], NAME)
        self.mistaken = StreamPeer(*parties["s"], trusted["x"], NAME)
        await self.soon()  # a running reactor has descriptors of its own
        self.before = _descriptors()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.nothing_is_left()))

    async def nothing_is_left(self) -> None:
        for _ in range(100):
            threads = [each for each in threading.enumerate() if each.name == "flow"]
            left = _descriptors() - self.before
            if not threads and not left:
                return
            await self.soon()
        self.fail(f"left: {threads} {left}")

    def put(self, name: str, content: bytes) -> str:
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def content(self, path: str) -> bytes | None:
        if not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            return file.read()

    def path(self, name: str) -> str:
        return f"{self.folder}/{name}"

    async def soon(self) -> None:
        await deferLater(reactor, 0.02)

    async def test_much_data_of_odd_length_arrives_as_it_was(self) -> None:
        data = random.Random(1).randbytes(3 * (1 << 20) + 4711)
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        sending = self.send(self.put("a", data), port)
        self.assertEqual(await self.over(receiving), "")
        receiving.finish(well=True)
        self.assertEqual(await self.over(sending), "")
        self.assertEqual(self.content(self.path("b")), data)

    async def test_who_is_trusted_and_no_member_is_turned_away_on_both_sides(self) -> None:
        member = replace(self.receiver, accepted=frozenset({"ab" * 32}))
        listening = self.streams.listen(HERE)
        source = ListeningEndpoint(listening, member, GREETING, 0.3)
        receiving = self.streams.start_transfer(source, FileEndpoint(self.path("b"), create=True))
        sink = ConnectingEndpoint(HERE, listening.port, self.sender, GREETING, 5, 1)
        sending = self.streams.start_transfer(FileEndpoint(self.put("a", b"data")), sink)
        self.assertNotEqual(await self.over(sending), "")
        self.assertIn("does not belong to a member of the cluster", await self.over(receiving))
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True), patience=0.3)
        sender = replace(self.sender, accepted=frozenset())
        sink = ConnectingEndpoint(HERE, port, sender, GREETING, 5, 1)
        sending = self.streams.start_transfer(FileEndpoint(self.path("a")), sink)
        self.assertIn("does not belong to a member of the cluster", await self.over(sending))
        await self.over(receiving)
        self.assertFalse(self.content(self.path("b")), "nothing of it has arrived")

    async def test_who_shows_another_certificate_is_turned_away(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True), patience=0.3)
        sink = ConnectingEndpoint(HERE, port, self.stranger, GREETING, 5, 1)
        sending = self.streams.start_transfer(FileEndpoint(self.put("a", b"data")), sink)
        self.assertNotEqual(await self.over(sending), "")
        self.assertRegex(await self.over(receiving), "no connection.*rejected 127.0.0.1")
        self.assertEqual(self.content(self.path("b")), b"")

    async def test_a_receiver_that_shows_another_certificate_gets_nothing(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True), patience=0.3)
        sink = ConnectingEndpoint(HERE, port, self.mistaken, GREETING, 5, 1)
        sending = self.streams.start_transfer(FileEndpoint(self.put("a", b"data")), sink)
        self.assertIn("certificate", await self.over(sending))
        self.assertIn("no connection", await self.over(receiving))

    async def test_a_sender_that_is_stopped_does_not_look_like_the_end(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        read, write = os.pipe()
        sink = ConnectingEndpoint(HERE, port, self.sender, GREETING, 5, 1)
        sending = self.streams.start_transfer(PipeEndpoint(read), sink)
        os.write(write, b"half of it")
        while not receiving.progress().connected:
            await self.soon()
        sending.stop()
        self.assertIn("canceled", await self.over(sending))
        self.assertIn("closed the connection", await self.over(receiving))
        os.close(read)
        os.close(write)

    async def test_a_receiver_that_waits_for_data_can_be_stopped(self) -> None:
        receiving, port = self.receive(FileEndpoint(self.path("b"), create=True))
        read, write = os.pipe()
        sink = ConnectingEndpoint(HERE, port, self.sender, GREETING, 5, 1)
        sending = self.streams.start_transfer(PipeEndpoint(read), sink)
        while not receiving.progress().connected:
            await self.soon()
        receiving.stop()
        self.assertIn("canceled", await self.over(receiving))
        os.write(write, bytes(1 << 16))
        os.close(write)
        self.assertNotEqual(await self.over(sending), "")
        os.close(read)

    async def test_a_program_reads_and_writes_through_pipes(self) -> None:
        read, write = self.streams.pipe()
        data = random.Random(2).randbytes(5 << 20)
        putting = self.streams.start_transfer(
            FileEndpoint(self.put("a", data)), PipeEndpoint(write)
        )
        taking = self.streams.start_transfer(
            PipeEndpoint(read), FileEndpoint(self.path("b"), create=True)
        )
        self.streams.close(read)
        self.assertEqual(await self.over(putting), "")
        self.streams.close(write)
        self.assertEqual(await self.over(taking), "")
        self.assertEqual(self.content(self.path("b")), data)

    async def test_a_program_that_stops_reading_is_told(self) -> None:
        read, write = self.streams.pipe()
        self.streams.close(read)
        putting = self.streams.start_transfer(
            FileEndpoint(self.put("a", bytes(99))), PipeEndpoint(write)
        )
        self.assertIn("the receiving end was closed", await self.over(putting))
        self.streams.close(write)

    async def test_holes_stay_holes_and_old_data_is_overwritten_by_zeros(self) -> None:
        mib = 1 << 20
        for name, old in (("new", b""), ("old", b"x" * (4 * mib))):
            sink = self.put(name, old)
            source = self.put("a", b"y" + bytes(4 * mib - 1))
            flow = self.streams.start_transfer(FileEndpoint(source), FileEndpoint(sink))
            self.assertEqual(await self.over(flow), "")
            self.assertEqual(self.content(sink), b"y" + bytes(4 * mib - 1))
        self.assertLess(os.stat(self.path("new")).st_blocks * 512, 2 * mib)

    async def test_a_disk_takes_no_more_than_it_has_room_for(self) -> None:
        flow = self.streams.start_transfer(
            FileEndpoint(self.put("a", bytes(101))), FileEndpoint(self.put("b", b""), room=100)
        )
        self.assertIn("larger than the disk", await self.over(flow))

    async def test_what_is_not_there_is_named(self) -> None:
        flow = self.streams.start_transfer(
            FileEndpoint(self.path("no")), FileEndpoint(self.path("b"), create=True)
        )
        self.assertEqual(await self.over(flow), f"{self.path('no')}: No such file or directory")


def _descriptors() -> set[str]:
    """What this process holds open: number and what it is."""
    found = set()
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.add(f"{each} {os.readlink(f'/proc/self/fd/{each}')}")
    return {each for each in found if "/proc/" not in each}
