# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's control protocol as bytes: JSON objects, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ganeti.errors import ProtocolError
from ganeti.schema.documents import UNREADABLE

MAX_LENGTH = 8 << 20
"""The longest line that is waited for, in bytes; QEMU's own are a few kilobytes."""


@dataclass(frozen=True)
class QmpGreeting:
    """QEMU's first words: its version as numbers."""

    version: tuple[int, int, int]


@dataclass(frozen=True)
class QmpAnswer:
    """What the oldest command that is not answered yet came to."""

    value: Any


@dataclass(frozen=True)
class QmpError:
    """Why the oldest command that is not answered yet failed."""

    kind: str
    message: str


@dataclass(frozen=True)
class QmpEvent:
    """Something that happened to the guest."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


Message = QmpGreeting | QmpAnswer | QmpError | QmpEvent


class QmpMessages:
    """Collects bytes and gives back messages; knows no transport."""

    def __init__(self) -> None:
        self._pending = b""

    def receive(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes.

        :raises ProtocolError: this is not QEMU's control protocol.
        """
        *whole, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > MAX_LENGTH:
            raise ProtocolError("QEMU's control socket sends a line without an end")
        for line in whole:
            if line.strip():
                yield _message(line)


def encoded(command: str, arguments: Mapping[str, Any]) -> bytes:
    """A command as it is sent."""
    body = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
    return msgspec.json.encode(body) + b"\n"


def _message(line: bytes) -> Message:
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
    raise ProtocolError(f"QEMU's control socket says {line[:100]!r}, which means nothing")
