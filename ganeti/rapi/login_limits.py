# SPDX-License-Identifier: BSD-2-Clause
"""Limits for logins, so that a flood of them does not delay other clients.

Checking a password that is stored as a slow hash takes tens of milliseconds. Clients are
distinguished by their address, not by the user name: otherwise any client could lock a user out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from ipaddress import AddressValueError, IPv6Address

from twisted.internet.defer import Deferred

from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.rate_limits import RateLimit, rate_limit_problem

InThread = Callable[[Callable[[], bool]], Awaitable[bool]]
"""Runs a check on another thread."""

MAX_CONCURRENT_CHECKS = 2
"""How many slow checks run at once; each uses one processor and 16 MiB."""

MAX_WAITING_PER_SOURCE = 8
"""How many slow checks of one source may wait."""

MAX_WAITING = 200
"""How many slow checks of all sources may wait."""

MAX_NAME = 64
"""How many characters of a user name are used as a key; longer names share their limit."""


@lru_cache(maxsize=1024)
def source_network(host: str) -> str:
    """Return the network that a client's address is counted for. Of IPv6 this is the /64 network,
    as one client can use any address in it.
    """
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return host
    # An IPv4 client at a socket for both address families.
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))


class FailureLimit:
    """Limits for the failed logins of one source: for each user name, and for all together."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        what = "failed logins"
        # A script with an old password must not lock out other users on its host.
        self._of_name = RateLimit(what, seconds, burst=10, per_second=0.2)
        self._of_source = RateLimit(what, seconds, burst=100, per_second=5.0)

    def check(self, source: str, name: str) -> None:
        """Reject a login before its password is checked.

        :raises HttpProblem: 429, with the time to wait.
        """
        self._of_name.check(_key(source, name))
        self._of_source.check(source)

    def count_failure(self, source: str, name: str) -> None:
        """Count a failed login."""
        self._of_name.count_request(_key(source, name))
        self._of_source.count_request(source)


def _key(source: str, name: str) -> str:
    return f"{source} {name[:MAX_NAME]}"


class SlowChecks:
    """Runs slow password checks: a limited number at once, alternating between sources."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._running = 0
        self._count = 0
        self._waiting: OrderedDict[str, deque[Deferred[None]]] = OrderedDict()

    async def run(self, source: str, check: Callable[[], bool]) -> bool:
        """Run ``check`` on a thread when it is the turn of its source; return its result.

        :raises HttpProblem: 429 if too many checks of the source wait, 503 if too many wait in all.
        """
        await self._acquire_slot(source)
        waiter: Deferred[bool] = Deferred()
        # A running thread cannot be canceled, so its slot is released only when it ends.
        Deferred.fromCoroutine(self._run(check)).addBoth(waiter.callback)
        return await waiter

    async def _acquire_slot(self, source: str) -> None:
        if self._running < MAX_CONCURRENT_CHECKS:
            self._running += 1
            return
        if len(self._waiting.get(source, ())) >= MAX_WAITING_PER_SOURCE:
            raise rate_limit_problem("concurrent logins", 1)
        if self._count >= MAX_WAITING:
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too many concurrent logins; try again in 2 seconds",
                (("Retry-After", "2"),),
            )
        turn: Deferred[None] = Deferred(lambda turn: self._remove_waiter(source, turn))
        self._waiting.setdefault(source, deque()).append(turn)
        self._count += 1
        await turn

    async def _run(self, check: Callable[[], bool]) -> bool:
        try:
            return await self._in_thread(check)
        finally:
            self._release_slot()

    def _release_slot(self) -> None:
        """Pass the free slot to the next source."""
        if not self._waiting:
            self._running -= 1
            return
        source, line = next(iter(self._waiting.items()))
        turn = line[0]
        self._remove_waiter(source, turn)
        if line:
            self._waiting.move_to_end(source)
        turn.callback(None)

    def _remove_waiter(self, source: str, turn: Deferred[None]) -> None:
        line = self._waiting[source]
        line.remove(turn)
        self._count -= 1
        if not line:
            del self._waiting[source]
