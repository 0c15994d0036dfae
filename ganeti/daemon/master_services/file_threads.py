# SPDX-License-Identifier: BSD-2-Clause
"""The threads in which the master reads and writes its files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from ganeti.daemon.process.reactor import Reactor

P = ParamSpec("P")
T = TypeVar("T")


class FileThreads(Service):
    """Threads for disk access only, so that a hanging name lookup does not delay it."""

    def __init__(self, reactor: Reactor) -> None:
        self.setName("threads for files")
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=4, name="files")

    def startService(self) -> None:
        super().startService()
        self._pool.start()
        # Not earlier: cancelled work may need a thread for its cleanup.
        self._reactor.addSystemEventTrigger("after", "shutdown", self._pool.stop)

    def __call__(
        self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs
    ) -> Awaitable[T]:
        """Call the function in one of the threads."""
        return deferToThreadPool(self._reactor, self._pool, function, *arguments, **named)
