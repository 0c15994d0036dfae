# SPDX-License-Identifier: BSD-2-Clause
"""Long blocking work, each in a thread of its own, which can be canceled.

The threads of the reactor's pool are for short work, which would have to wait.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads

from ganeti.errors import Code, Failed
from ganeti.system.cancellation import Cancelled, CancelSwitch

T = TypeVar("T")


class RunWork(Protocol):
    """Runs blocking work, which is given a switch that cancels it, and returns its result."""

    def __call__(self, work: Callable[[CancelSwitch], T], /) -> Awaitable[T]: ...


class WorkThreads:
    """Runs work in threads, which report their end to ``reactor``."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor

    def __call__(self, work: Callable[[CancelSwitch], T], /) -> Awaitable[T]:
        return self._run(work)

    async def _run(self, work: Callable[[CancelSwitch], T]) -> T:
        switch = CancelSwitch()
        outcomes: list[Callable[[], T]] = []
        waiting: list[Deferred[None]] = [Deferred()]

        def finished(outcome: Callable[[], T]) -> None:
            outcomes.append(outcome)
            waiting[0].callback(None)

        def run() -> None:
            outcome = _attempt(work, switch)
            switch.close()
            self._reactor.callFromThread(finished, outcome)

        # A daemon thread: it must not keep the process from ending.
        Thread(target=run, name="work", daemon=True).start()
        try:
            await waiting[0]
        except CancelledError:
            # What the thread uses must not be closed before it has ended.
            switch.pull()
            waiting[0] = Deferred()
            await waiting[0]
            raise
        return outcomes[0]()


def _attempt(work: Callable[[CancelSwitch], T], switch: CancelSwitch) -> Callable[[], T]:
    """Run work; return a function that returns its result, or raises its error."""
    try:
        result = work(switch)
    except Exception as e:
        return partial(_raise, _translate(e))
    return lambda: result


def _translate(e: Exception) -> Exception:
    if isinstance(e, Cancelled):
        return CancelledError()
    return Failed(str(e), Code.ENVIRONMENT) if isinstance(e, OSError) else e


def _raise(e: Exception) -> Any:
    raise e


def run_now(work: Callable[[CancelSwitch], T], /) -> Awaitable[T]:
    """Run work at once, in this thread; for tests."""
    return _run_now(work)


async def _run_now(work: Callable[[CancelSwitch], T]) -> T:
    switch = CancelSwitch()
    try:
        return work(switch)
    finally:
        switch.close()
