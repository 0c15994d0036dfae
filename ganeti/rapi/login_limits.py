# SPDX-License-Identifier: BSD-2-Clause
"""Limits for logins, so that a flood of them keeps nobody else waiting.

A password that is stored as a slow hash takes tens of milliseconds to check. Clients are told apart
by their address, and not by the name they give: otherwise anybody could lock a user out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from ipaddress import AddressValueError, IPv6Address

from twisted.internet.defer import Deferred

from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.rate_limits import RateLimit, too_many

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]
"""Runs a check on another thread."""

MAX_RUNNING = 2
"""How many slow checks run at once; each takes a processor and 16 MiB."""

MAX_PER_SOURCE = 8
"""How many slow checks may wait for one source."""

MAX_WAITING = 200
"""How many slow checks may wait in all."""

MAX_NAME = 64
"""How many characters of a user name are remembered; longer names have one share."""


@lru_cache(maxsize=1024)
def source_of(host: str) -> str:
    """Return what the clients at an address have in common: of IPv6 it is the network of 64 bits,
    in which one client can have as many addresses as it likes.
    """
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))


class FailureLimit:
    """How often logins of one source may fail: for each user name, and in all."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        what = "failed logins"
        # A script with an old password must not lock out other users of its host.
        self._of_name = RateLimit(what, seconds, burst=10, per_second=0.2)
        self._of_source = RateLimit(what, seconds, burst=100, per_second=5.0)

    def check(self, source: str, name: str) -> None:
        """Refuse a login before anything is computed for it.

        :raises Problematic: 429, with the time to wait.
        """
        self._of_name.check(_key(source, name))
        self._of_source.check(source)

    def count(self, source: str, name: str) -> None:
        """Note that a login has failed."""
        self._of_name.count(_key(source, name))
        self._of_source.count(source)


def _key(source: str, name: str) -> str:
    return f"{source} {name[:MAX_NAME]}"


class SlowChecks:
    """Runs slow checks of passwords, so many at once, and sources in turn."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._running = 0
        self._count = 0
        self._waiting: OrderedDict[str, deque[Deferred[None]]] = OrderedDict()

    async def run(self, source: str, check: Callable[[], bool]) -> bool:
        """Return what ``check`` does, once it is the turn of its source.

        :raises Problematic: 429 if too many of the source wait, 503 if too many wait in all.
        """
        await self._turn(source)
        waiter: Deferred[bool] = Deferred()
        # A thread cannot be stopped, so that its place is free when it has ended and not before.
        Deferred.fromCoroutine(self._run(check)).addBoth(waiter.callback)
        return await waiter

    async def _turn(self, source: str) -> None:
        if self._running < MAX_RUNNING:
            self._running += 1
            return
        if len(self._waiting.get(source, ())) >= MAX_PER_SOURCE:
            raise too_many("logins at once", 1)
        if self._count >= MAX_WAITING:
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too many logins at once; try again in 2 seconds",
                (("Retry-After", "2"),),
            )
        turn: Deferred[None] = Deferred(lambda turn: self._leave(source, turn))
        self._waiting.setdefault(source, deque()).append(turn)
        self._count += 1
        await turn

    async def _run(self, check: Callable[[], bool]) -> bool:
        try:
            return await self._in_thread(check)
        finally:
            self._next()

    def _next(self) -> None:
        """Give the place that has become free to the source whose turn it is."""
        if not self._waiting:
            self._running -= 1
            return
        source, line = next(iter(self._waiting.items()))
        turn = line[0]
        self._leave(source, turn)
        if line:
            self._waiting.move_to_end(source)
        turn.callback(None)

    def _leave(self, source: str, turn: Deferred[None]) -> None:
        line = self._waiting[source]
        line.remove(turn)
        self._count -= 1
        if not line:
            del self._waiting[source]
