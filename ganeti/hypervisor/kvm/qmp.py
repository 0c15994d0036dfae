# SPDX-License-Identifier: BSD-2-Clause
"""The QEMU Machine Protocol (QMP): JSON objects, one per line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ganeti.errors import ProtocolError
from ganeti.schema.documents import UNREADABLE

MAX_LENGTH = 8 << 20
"""The maximum length of a line, in bytes; lines of QEMU are a few kilobytes."""


@dataclass(frozen=True)
class QmpGreeting:
    """The greeting, with QEMU's version."""

    version: tuple[int, int, int]


@dataclass(frozen=True)
class QmpAnswer:
    """The result of the oldest command without an answer."""

    value: object


@dataclass(frozen=True)
class QmpError:
    """The error of the oldest command without an answer."""

    kind: str
    message: str


@dataclass(frozen=True)
class QmpEvent:
    """An event of the guest."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


Message = QmpGreeting | QmpAnswer | QmpError | QmpEvent


class QmpParser:
    """Parses messages from a stream of bytes; independent of the transport."""

    def __init__(self) -> None:
        self._pending = b""

    def receive(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that ``data`` completes.

        :raises ProtocolError: if the data is not QMP.
        """
        *whole, self._pending = (self._pending + data).split(b"\n")
        # A guest may have taken over its QEMU, which must not be able to fill the daemon's memory.
        if len(self._pending) > MAX_LENGTH:
            raise ProtocolError("the QEMU monitor sent an overlong line")
        for line in whole:
            if line.strip():
                yield _parse_message(line)


def encoded(command: str, arguments: Mapping[str, object]) -> bytes:
    """Encode a command."""
    body = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
    return msgspec.json.encode(body) + b"\n"


def _parse_message(line: bytes) -> Message:
    try:
        content = msgspec.json.decode(line)
    except UNREADABLE:
        content = None
    match content:
        case {"return": value}:
            return QmpAnswer(value)
        case {"error": {"class": str(kind), "desc": str(message)}}:
            return QmpError(kind, message)
        case {"event": str(name), **rest}:
            data = rest.get("data", {})
            return QmpEvent(name, data if isinstance(data, dict) else {})
        case {
            "QMP": {
                "version": {"qemu": {"major": int(major), "minor": int(minor), "micro": int(micro)}}
            }
        }:
            return QmpGreeting((major, minor, micro))
    raise ProtocolError(f"the QEMU monitor sent an unexpected message: {line[:100]!r}")
