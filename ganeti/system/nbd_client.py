# SPDX-License-Identifier: BSD-2-Clause
"""A client of an NBD server on this host; everything here blocks."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from ganeti.errors import Code, Failed
from ganeti.system import nbd_messages as nbd
from ganeti.system.cancellation import CancelSwitch
from ganeti.system.nbd_messages import NbdError

TIMEOUT = 120.0
"""Seconds for an answer; QEMU answers when the disk has."""

_STATUS_LENGTH = 1 << 30
"""The length of an area whose status is asked for at once, in bytes."""


@dataclass(frozen=True)
class Area:
    """An area of an export: whether it is zeros, and whether the bitmap says that it has changed.

    Without a bitmap, every area counts as ``dirty``.
    """

    offset: int
    length: int
    zero: bool
    dirty: bool


class NbdClient:
    """Reads one export; a context manager that connects and disconnects.

    :raises Failed: the server cannot be reached, reports an error, or has no such export or bitmap.
    """

    size: int

    def __init__(self, path: str, export: str, switch: CancelSwitch, *, bitmap: str = "") -> None:
        self._path = path
        self._export = export
        self._switch = switch
        self._contexts = [nbd.ALLOCATION, *([nbd.bitmap_context(bitmap)] if bitmap else [])]
        self._numbers: dict[int, str] = {}
        self._cookie = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    def __enter__(self) -> NbdClient:
        try:
            self._socket.connect(self._path)
            self._socket.setblocking(False)
            self._negotiate()
        except (OSError, NbdError) as e:
            self._socket.close()
            raise self._failure(e) from e
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._send(nbd.encode_request(nbd.DISCONNECT, 0))
        except OSError:
            pass  # it is over anyway
        finally:
            self._socket.close()

    def read_area(self, offset: int, length: int) -> bytes:
        """Return the data of an area, which is at most 32 MiB."""
        content, filled = bytearray(length), 0
        for kind, payload in self._ask(nbd.READ, offset, length):
            at = struct.unpack(">Q", payload[:8])[0] - offset if len(payload) >= 8 else -1
            if kind == nbd.OFFSET_DATA and 0 <= at <= length - (len(payload) - 8):
                content[at : at + len(payload) - 8] = payload[8:]
                filled += len(payload) - 8
            elif kind == nbd.OFFSET_HOLE and len(payload) == 12 and at >= 0:
                filled += struct.unpack(">I", payload[8:])[0]
        if filled != length:
            raise self._failure(NbdError("the server sent other data than was asked for"))
        return bytes(content)

    def list_areas(self, size: int) -> Iterator[Area]:
        """Yield the areas of the first ``size`` bytes in order."""
        offset = 0
        while offset < size:
            length = min(_STATUS_LENGTH, size - offset)
            found = dict[str, list[tuple[int, int]]]()
            for kind, payload in self._ask(nbd.BLOCK_STATUS, offset, length):
                if kind == nbd.STATUS:
                    number, areas = self._parsed(payload)
                    found[self._numbers.get(number, "")] = areas
            if any(name not in found for name in self._contexts):
                raise self._failure(NbdError("the server does not tell the status of its blocks"))
            allocation, dirty = found[self._contexts[0]], found[self._contexts[-1]]
            for part, allocated, changed in nbd.merge_areas(allocation, dirty):
                part = min(part, size - offset)
                if part:
                    yield Area(
                        offset,
                        part,
                        zero=bool(allocated & nbd.ZERO_FLAG),
                        dirty=len(self._contexts) == 1 or bool(changed & nbd.DIRTY_FLAG),
                    )
                offset += part

    def _parsed(self, payload: bytes) -> tuple[int, list[tuple[int, int]]]:
        try:
            return nbd.parse_status(payload)
        except NbdError as e:
            raise self._failure(e) from None

    def _negotiate(self) -> None:
        greeting = self._receive(len(nbd.GREETING) + 2)
        if not greeting.startswith(nbd.GREETING):
            raise NbdError("the server does not speak NBD")
        self._send(struct.pack(">I", nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES))
        self._option(nbd.STRUCTURED_REPLY, nbd.encode_option(nbd.STRUCTURED_REPLY))
        option = nbd.encode_contexts(self._export, self._contexts)
        for kind, data in self._option(nbd.SET_META_CONTEXT, option):
            if kind == nbd.META_CONTEXT:
                number, name = nbd.parse_context(data)
                self._numbers[number] = name
        missing = set(self._contexts) - set(self._numbers.values())
        if missing:
            raise NbdError(f"the server does not know {', '.join(sorted(missing))}")
        sizes = [
            nbd.parse_export_size(data)
            for kind, data in self._option(nbd.GO, nbd.encode_go(self._export))
            if kind == nbd.INFO
        ]
        known = [size for size in sizes if size is not None]
        if not known:
            raise NbdError("the server does not tell the size of its export")
        self.size = known[0]

    def _option(self, option: int, request: bytes) -> list[tuple[int, bytes]]:
        """Send an option, and return the replies before its end."""
        self._send(request)
        replies: list[tuple[int, bytes]] = []
        while True:
            head = self._receive(nbd.OPTION_REPLY_HEAD.size)
            kind, length = nbd.parse_option_reply(head, option)
            data = self._receive(length)
            nbd.check_option_reply(kind, data)
            if kind == nbd.ACK:
                return replies
            replies.append((kind, data))

    def _ask(self, request: int, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
        """Send a request, and yield the kinds and data of the parts of its answer."""
        self._cookie += 1
        try:
            self._send(nbd.encode_request(request, self._cookie, offset, length))
            while True:
                reply = nbd.parse_reply(self._receive(nbd.REPLY_HEAD.size))
                payload = self._receive(reply.length)
                if reply.cookie != self._cookie:
                    raise NbdError("the server answered another request")
                nbd.check_reply(reply, payload)
                yield reply.kind, payload
                if reply.last:
                    return
        except (OSError, NbdError) as e:
            raise self._failure(e) from e

    def _send(self, data: bytes) -> None:
        with memoryview(data) as view:
            done = 0
            while done < len(data):
                try:
                    done += self._socket.send(view[done:])
                except BlockingIOError:
                    self._switch.wait(self._socket.fileno(), select.POLLOUT, TIMEOUT)

    def _receive(self, length: int) -> bytes:
        content = bytearray(length)
        with memoryview(content) as view:
            done = 0
            while done < length:
                try:
                    amount = self._socket.recv_into(view[done:])
                except BlockingIOError:
                    self._switch.wait(self._socket.fileno(), select.POLLIN, TIMEOUT)
                    continue
                if not amount:
                    raise ConnectionResetError("the connection was closed")
                done += amount
        return bytes(content)

    def _failure(self, e: Exception) -> Failed:
        why = str(e) or ("no answer" if isinstance(e, TimeoutError) else type(e).__name__)
        return Failed(f"QEMU's export of the disk cannot be read: {why}", Code.ENVIRONMENT)
