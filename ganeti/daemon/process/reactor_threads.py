# SPDX-License-Identifier: BSD-2-Clause
"""Blocking work of a daemon in the threads of its reactor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from twisted.internet.threads import deferToThreadPool

from ganeti.daemon.process.reactor import Reactor
from ganeti.system.threads import InThread

P = ParamSpec("P")
T = TypeVar("T")


def thread_runner(reactor: Reactor) -> InThread:
    """Return what runs blocking functions in threads of the reactor."""

    def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args, **kwargs)

    return in_thread
