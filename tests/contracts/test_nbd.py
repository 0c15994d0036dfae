# SPDX-License-Identifier: BSD-2-Clause
"""The NBD client reads what a server exports, and does not believe what makes no sense."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.system import nbd_messages as nbd
from ganeti.system.cancellation import CancelSwitch
from ganeti.system.nbd_client import Area, NbdClient

SIZE = 8192
DATA = bytes(range(256)) * 16 + bytes(4096)
DIRTY = nbd.bitmap_context("b1")


class MessageTests(SynchronousTestCase):
    @given(st.lists(st.integers(1, 9), min_size=1), st.lists(st.integers(1, 9), min_size=1))
    def test_merged_areas_cover_what_both_lists_cover(
        self, one: Sequence[int], other: Sequence[int]
    ) -> None:
        left = [(length, at % 2) for at, length in enumerate(one)]
        right = [(length, at % 3) for at, length in enumerate(other)]
        merged = list(nbd.merge_areas(left, right))
        self.assertEqual(sum(each[0] for each in merged), min(sum(one), sum(other)))
        flags = [flag for length, flag, _ in merged for _ in range(length)]
        expected = [flag for length, flag in left for _ in range(length)]
        self.assertEqual(flags, expected[: len(flags)])

    @given(st.binary(max_size=40))
    def test_no_block_status_makes_it_fail_in_another_way(self, payload: bytes) -> None:
        try:
            _, areas = nbd.parse_status(payload)
        except nbd.NbdError:
            return
        self.assertTrue(all(length > 0 for length, _ in areas))

    def test_an_error_has_the_servers_words(self) -> None:
        payload = struct.pack(">IH", 5, 7) + b"no disk"
        reply = nbd.Reply(True, 1 << 15 | 1, 1, len(payload))
        with self.assertRaisesRegex(nbd.NbdError, "no disk"):
            nbd.check_reply(reply, payload)


class Server:
    """One connection of an NBD server; ``answer`` makes the parts of the answer to a request."""

    contexts: Sequence[str] = (nbd.ALLOCATION, DIRTY)

    def __init__(self, path: str, answer: Callable[[int, int, int], list[tuple[int, bytes]]]):
        self._answer = answer
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen(1)
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, connection.makefile("rwb") as stream:
            stream.write(nbd.GREETING + struct.pack(">H", 3))
            stream.flush()
            stream.read(4)
            while self._negotiate(stream) not in (nbd.GO, 0):
                pass
            while head := stream.read(28):
                _, _, kind, cookie, offset, length = struct.unpack(">IHHQQI", head)
                if kind == nbd.DISCONNECT:
                    return
                parts = self._answer(kind, offset, length)
                for number, (reply, payload) in enumerate(parts, 1):
                    flags = nbd.DONE if number == len(parts) else 0
                    fields = (0x668E33EF, flags, reply, cookie, len(payload))
                    stream.write(nbd.REPLY_HEAD.pack(*fields) + payload)
                stream.flush()

    def _negotiate(self, stream) -> int:  # type: ignore[no-untyped-def]
        head = stream.read(16)
        if len(head) < 16:
            return 0
        option, length = struct.unpack(">II", head[8:])
        stream.read(length)
        replies = {
            nbd.SET_META_CONTEXT: [
                (nbd.META_CONTEXT, struct.pack(">I", number) + name.encode())
                for number, name in enumerate(self.contexts)
            ],
            nbd.GO: [(nbd.INFO, struct.pack(">HQH", nbd.INFO_EXPORT, SIZE, 0))],
        }.get(option, [])
        for kind, payload in [*replies, (nbd.ACK, b"")]:
            head = nbd.OPTION_REPLY_HEAD.pack(0x0003E889045565A9, option, kind, len(payload))
            stream.write(head + payload)
        stream.flush()
        return int(option)


def answer_well(kind: int, offset: int, length: int) -> list[tuple[int, bytes]]:
    """Answer as QEMU does: data, holes, and areas of both contexts."""
    if kind == nbd.BLOCK_STATUS:
        allocation = struct.pack(">IIIII", 0, 4096, 0, 4096, 3)
        dirty = struct.pack(">IIIIIII", 1, 1024, 0, 1024, 1, 6144, 0)
        return [(nbd.STATUS, allocation), (nbd.STATUS, dirty)]
    data = DATA[offset : offset + length]
    if any(data):
        return [(nbd.OFFSET_DATA, struct.pack(">Q", offset) + data)]
    return [(nbd.OFFSET_HOLE, struct.pack(">QI", offset, length))]


class NbdClientTests(SynchronousTestCase):
    def connect(
        self,
        answer: Callable[[int, int, int], list[tuple[int, bytes]]] = answer_well,
        bitmap: str = "b1",
    ) -> NbdClient:
        # Short, as it is the path of a socket.
        path = self.mktemp()[-60:].replace("/", "-")
        server = Server(path, answer)
        self.addCleanup(server.close)
        switch = CancelSwitch()
        self.addCleanup(switch.close)
        return NbdClient(path, "disk", switch, bitmap=bitmap)

    def test_data_and_holes_are_read(self) -> None:
        with self.connect() as client:
            self.assertEqual(client.size, SIZE)
            self.assertEqual(client.read_area(0, 4096), DATA[:4096])
            self.assertEqual(client.read_area(4096, 4096), bytes(4096))

    def test_areas_are_those_that_both_contexts_have_in_common(self) -> None:
        with self.connect() as client:
            self.assertEqual(
                list(client.list_areas(SIZE)),
                [
                    Area(0, 1024, zero=False, dirty=False),
                    Area(1024, 1024, zero=False, dirty=True),
                    Area(2048, 2048, zero=False, dirty=False),
                    Area(4096, 4096, zero=True, dirty=False),
                ],
            )

    def test_without_a_bitmap_everything_counts_as_changed(self) -> None:
        with self.connect(bitmap="") as client:
            self.assertTrue(all(each.dirty for each in client.list_areas(SIZE)))

    def test_a_bitmap_that_the_server_does_not_know_is_an_error(self) -> None:
        client = self.connect(bitmap="other")
        with self.assertRaisesRegex(Failed, "does not know qemu:dirty-bitmap:other"), client:
            self.fail("it was accepted")

    def test_an_answer_with_too_little_is_an_error(self) -> None:
        def answer(kind: int, offset: int, length: int) -> list[tuple[int, bytes]]:
            return [(nbd.OFFSET_DATA, struct.pack(">Q", offset) + b"short")]

        expected = self.assertRaisesRegex(Failed, "other data than was asked")
        with expected, self.connect(answer) as client:
            client.read_area(0, 4096)

    def test_a_server_that_cannot_be_reached_is_an_error(self) -> None:
        switch = CancelSwitch()
        self.addCleanup(switch.close)
        with self.assertRaisesRegex(Failed, "cannot be read: .*No such file"):
            NbdClient("/nowhere", "disk", switch).__enter__()
