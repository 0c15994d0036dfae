# SPDX-License-Identifier: BSD-2-Clause
"""Stopping a thread that blocks on descriptors and sockets."""

from __future__ import annotations

import os
import select
import socket
import threading
from contextlib import suppress


class Cancelled(Exception):
    """The brake was pulled."""


class CancelSwitch:
    """Pulled in one thread, it stops the waiting of another, which asks through it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._pulled = self._closed = False
        self._sockets: list[socket.socket] = []

    def pull(self) -> None:
        """Stop the other thread now, or the next time that it asks; any thread may call this."""
        with self._lock:
            self._pulled = True
            if not self._closed:
                os.eventfd_write(self._signal, 1)
            for each in self._sockets:
                _cut(each)

    def check(self) -> None:
        """:raises Stopped: the brake was pulled."""
        if self._pulled:
            raise Cancelled

    def guard(self, other: socket.socket) -> None:
        """Let operations on a socket fail once the brake is pulled."""
        with self._lock:
            # A copy: the thread may close its own whenever it likes.
            copy = socket.socket(fileno=os.dup(other.fileno()))
            self._sockets.append(copy)
            if self._pulled:
                _cut(copy)

    def release(self) -> None:
        """Guard no sockets any more."""
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def wait(self, descriptor: int, events: int, seconds: float | None = None) -> None:
        """Wait until ``descriptor`` is ready for ``events`` (of poll).

        :raises Stopped: the brake was pulled.
        :raises TimeoutError: ``seconds`` have passed.
        """
        self.check()
        poll = select.poll()
        poll.register(self._signal, select.POLLIN)
        poll.register(descriptor, events)
        ready = poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
        self.check()
        if not ready:
            raise TimeoutError

    def sleep(self, seconds: float) -> None:
        """:raises Stopped: the brake was pulled."""
        with suppress(TimeoutError):
            self.wait(self._signal, select.POLLIN, seconds)

    def close(self) -> None:
        """Give back what this holds; pulling it does nothing any more."""
        self.release()
        with self._lock:
            self._closed = True
            os.close(self._signal)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # not connected yet, or not any more
        connection.shutdown(socket.SHUT_RDWR)
