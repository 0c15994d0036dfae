# SPDX-License-Identifier: BSD-2-Clause
"""Bounded waits of requests for the lease, whichever protocol grants it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ganeti.errors import Code, Refused

LEASE_WAIT_TIMEOUT = 6.0
"""Seconds for which a request waits for the lease before it is refused.

Longer than a lease, so that clients do not notice a short loss of contact.
"""

T = TypeVar("T")


async def wait_until_ready(
    ready: Coroutine[Deferred[None], object, None],
    explained: Callable[[], str],
    clock: IReactorTime,
) -> None:
    """Wait for ``ready``, but for at most ``LEASE_WAIT_TIMEOUT`` seconds.

    :raises Refused: that is over; the message is what ``explained`` returns.
    """
    confirming = Deferred.fromCoroutine(ready)
    timer = clock.callLater(LEASE_WAIT_TIMEOUT, confirming.cancel)
    try:
        await confirming
    except CancelledError:
        if timer.active():
            # The caller was cancelled, and the time is not over.
            raise
        raise Refused(explained(), Code.TEMPORARY) from None
    finally:
        if timer.active():
            timer.cancel()


async def answer_while_held(
    answer: Awaitable[T],
    holds: Callable[[], bool],
    explained: Callable[[], str],
    clock: IReactorTime,
) -> T:
    """Return the result of ``answer``, or raise if the lease is lost for too long meanwhile.

    :raises Refused: the lease was lost for ``LEASE_WAIT_TIMEOUT`` seconds, so that the outcome is
        unknown.
    """

    async def result() -> T:
        return await answer

    work = Deferred.fromCoroutine(result())
    waiting: Deferred[T] = Deferred(lambda _: work.cancel())
    without = [0]

    def look() -> None:
        without[0] = 0 if holds() else without[0] + 1
        if without[0] < LEASE_WAIT_TIMEOUT:
            timers[:] = [clock.callLater(1.0, look)]
            return
        why = f"{explained()}. It is unknown whether this request will be carried out"
        waiting.errback(Refused(why, Code.TEMPORARY))

    def done(result: T | Failure) -> None:
        if timers[-1].active():
            timers[-1].cancel()
        if not waiting.called:
            waiting.callback(result)

    timers = [clock.callLater(1.0, look)]
    work.addBoth(done)
    return await waiting
