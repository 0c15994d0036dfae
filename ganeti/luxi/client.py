# SPDX-License-Identifier: BSD-2-Clause
"""The blocking client for command-line tools: plain sockets, no event loop."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import msgspec

from ganeti.luxi import framing
from ganeti.luxi.methods import Request
from ganeti.luxi.unreachable import (
    ConnectionLost,
    MasterNotRunning,
    NoAnswer,
    lost,
    make_connect_error,
    make_timeout_error,
)

R = TypeVar("R")

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 180.0

PAUSES = (0.1, 0.2, 0.5, 1, 2, 4)
"""Seconds before each retry; a restart of the master daemon takes less than their sum."""


class LuxiClient:
    """A connection to the master, opened on first use and reopened after a loss.

    ``path`` is the socket. After a lost connection, a request that changes nothing is retried; one
    with changes is not, because it may have been carried out.
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
        """Send a request and return the answer.

        :raises GanetiError: the error that the master answers with, or one of
            ``ganeti.luxi.unreachable`` without an answer.
        """
        answer: R = framing.decoded(self.ask_raw(request))
        return answer

    def ask_raw(self, request: Request[object]) -> msgspec.Raw:
        """Send a request and return the answer, still encoded as JSON."""
        message = framing.request(request.named(), request)
        return framing.result_of(self._exchange(request, message))

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
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

    def _exchange(self, request: Request[object], message: bytes) -> bytes:
        problem: NoAnswer | None = None
        for pause in (*PAUSES, None):
            try:
                return self._try_once(request, message)
            except (ConnectionLost, MasterNotRunning) as e:
                # At first, no master runs here; after a lost connection, it may be restarting.
                if (problem is None and isinstance(e, MasterNotRunning)) or request.changes:
                    raise
                problem = e
            if pause is not None:
                self._sleep(pause)
        assert problem is not None
        raise problem

    def _try_once(self, request: Request[object], message: bytes) -> bytes:
        if self._socket is None:
            self._socket = self._connect()
        try:
            self._socket.sendall(message)
            return self._receive(self._socket)
        except TimeoutError:
            self.close()
            raise make_timeout_error(request.named(), self._answer_seconds) from None
        except OSError:
            self.close()
            raise lost(request.named(), request.changes) from None
        except BaseException:
            # An unread answer must not be taken for the answer to the next request.
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
                # The listen queue is full (EAGAIN for Unix sockets): the master is running, but
                # busy.
                connection.close()
                if time.monotonic() > until:
                    raise make_connect_error(
                        self._path, e.errno, "it accepts no connections"
                    ) from None
                self._sleep(0.01)
            except OSError as e:
                connection.close()
                raise make_connect_error(self._path, e.errno, e.strerror or str(e)) from None
