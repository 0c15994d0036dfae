# SPDX-License-Identifier: BSD-2-Clause
"""The blocking client, for command-line tools: plain sockets, no event loop."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from ganeti.luxi import framing
from ganeti.luxi.methods import Request
from ganeti.luxi.unreachable import (
    ConnectionLost,
    MasterAway,
    Unanswered,
    lost,
    not_connected,
    timed_out,
)

R = TypeVar("R")

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 180.0

PAUSES = (0.1, 0.2, 0.5, 1, 2, 4)
"""How long to wait before each new try, in seconds: a master daemon restarts within these."""


class LuxiClient:
    """A connection to the master, made when it is first needed and again when it breaks.

    ``path`` is the socket. What only asks is tried again when the connection breaks; what
    changes something is not, as it may have been done.
    """

    def __init__(
        self,
        path: str,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._sleep = sleep
        self._socket: socket.socket | None = None
        self._buffer = framing.MessageBuffer(limit=None)

    def ask(self, request: Request[R]) -> R:
        """The master's answer.

        :raises GanetiError: what the master answers, or one of ``ganeti.luxi.unreachable`` if
            there is no answer.
        """
        answer: R = framing.decoded(self.ask_raw(request))
        return answer

    def ask_raw(self, request: Request[Any]) -> msgspec.Raw:
        """The master's answer, still encoded as JSON."""
        message = framing.request(request.named(), request)
        return framing.result_of(self._exchange(request, message))

    def close(self) -> None:
        """Hang up; the next request connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._buffer = framing.MessageBuffer(limit=None)

    def __enter__(self) -> LuxiClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, request: Request[Any], message: bytes) -> bytes:
        problem: Unanswered | None = None
        for pause in (*PAUSES, None):
            try:
                return self._try(request, message)
            except (ConnectionLost, MasterAway) as e:
                if (problem is None and isinstance(e, MasterAway)) or request.changes:
                    raise
                problem = e
            if pause is not None:
                self._sleep(pause)
        assert problem is not None
        raise problem

    def _try(self, request: Request[Any], message: bytes) -> bytes:
        if self._socket is None:
            self._socket = self._connect()
        try:
            self._socket.sendall(message)
            return self._receive(self._socket)
        except TimeoutError:
            self.close()
            raise timed_out(request.named(), self._answer_seconds) from None
        except OSError:
            self.close()
            raise lost(request.named(), request.changes) from None
        except BaseException:
            # An answer that was not read must not become that of the next request.
            self.close()
            raise

    def _receive(self, connection: socket.socket) -> bytes:
        while data := connection.recv(1 << 18):
            for message in self._buffer.receive(data):
                return message
        raise ConnectionResetError

    def _connect(self) -> socket.socket:
        until = time.monotonic() + self._connect_seconds
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(self._connect_seconds)
                connection.connect(self._path)
                connection.settimeout(self._answer_seconds)
                return connection
            except BlockingIOError as e:
                # The queue of connections is full: the master is there, and busy.
                connection.close()
                if time.monotonic() > until:
                    raise not_connected(self._path, e.errno, "it takes no connections") from None
                self._sleep(0.01)
            except OSError as e:
                connection.close()
                raise not_connected(self._path, e.errno, e.strerror or str(e)) from None
