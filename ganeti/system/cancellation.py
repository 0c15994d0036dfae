# SPDX-License-Identifier: BSD-2-Clause
"""Cancellation of a thread that blocks on file descriptors and sockets."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial


class Cancelled(Exception):
    """The operation was canceled."""


class CancelSwitch:
    """Cancels the blocking operations of another thread, which waits by means of this object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._pulled = self._closed = False
        self._sockets: list[socket.socket] = []

    def pull(self) -> None:
        """Cancel the current and all further operations of the thread; callable from any thread."""
        with self._lock:
            self._pulled = True
            # After ``close``, the number of the descriptor may belong to something else.
            if not self._closed:
                os.eventfd_write(self._signal, 1)
            for each in self._sockets:
                # Shutting a connection down wakes a thread that blocks on it; closing it would not.
                _shut_down(each)

    def check(self) -> None:
        """:raises Cancelled: if the switch was pulled."""
        if self._pulled:
            raise Cancelled

    def shut_down_on_cancel(self, other: socket.socket) -> Callable[[], None]:
        """Shut a socket down when the switch is pulled; return what ends this for it."""
        with self._lock:
            # A duplicate: the thread may close its own descriptor at any time.
            copy = socket.socket(fileno=os.dup(other.fileno()))
            self._sockets.append(copy)
            if self._pulled:
                _shut_down(copy)
        return partial(self._release_one, copy)

    def _release_one(self, copy: socket.socket) -> None:
        with self._lock:
            if copy in self._sockets:
                self._sockets.remove(copy)
                copy.close()

    def release(self) -> None:
        """Stop watching sockets."""
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()

    def wait(self, descriptor: int, events: int, seconds: float | None = None) -> None:
        """Wait until ``descriptor`` is ready for the poll(2) ``events``.

        :raises Cancelled: if the switch was pulled.
        :raises TimeoutError: after ``seconds``.
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
        """:raises Cancelled: if the switch was pulled."""
        with suppress(TimeoutError):
            self.wait(self._signal, select.POLLIN, seconds)

    def close(self) -> None:
        """Release all descriptors; pulling the switch has no effect from now on."""
        self.release()
        with self._lock:
            self._closed = True
            os.close(self._signal)


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # not connected
        connection.shutdown(socket.SHUT_RDWR)
