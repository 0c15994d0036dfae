# SPDX-License-Identifier: BSD-2-Clause
"""Reports of this node's status to the master: first all of it, then what has changed.

The node keeps its last report, and compares it with its present status while a call of the master
waits: every two seconds, and when a call has changed a guest. So the master learns of a guest that
has ended by itself, and asks for no guests that are as they were.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ganeti.model.guest import GuestState
from ganeti.rpc.call import Call
from ganeti.rpc.instances import (
    BalloonMemory,
    FinalizeMigrationDst,
    FinalizeMigrationSrc,
    RebootInstanceCall,
    StartInstanceCall,
    StopInstance,
)
from ganeti.rpc.node import DescribeNode, NodeInfo, StatusReport, StorageSpace, WatchNode
from ganeti.schema.records import replace

C = TypeVar("C", bound=Call[object])
R = TypeVar("R")

Handler: TypeAlias = Callable[[C], Coroutine[Deferred[object], object, R]]

LOOK_INTERVAL = 2.0
"""Seconds between two comparisons."""

REPORT_INTERVAL = 1.0
"""Minimum seconds between two reports: hundreds of guests that start share some reports."""

STORAGE_INTERVAL = 20.0
"""Seconds between two queries of storage space, which run programs for some kinds of storage."""

SIGNIFICANT_SHARE = 0.01
"""The share of all memory, or of the space of a storage unit, that is a change when it is used."""


@dataclass
class _LastReport:
    """The last report to the master; ``touched`` are guests that calls have changed since."""

    position: str
    info: NodeInfo
    at: float
    touched: set[str] = field(default_factory=set)


class StatusReports:
    """Handles ``WatchNode``; ``new_position`` returns a text that it has not returned before."""

    def __init__(
        self,
        describe: Callable[[DescribeNode], Awaitable[NodeInfo]],
        clock: IReactorTime,
        new_position: Callable[[], str],
    ) -> None:
        self._describe = describe
        self._clock = clock
        self._new_position = new_position
        self._last: _LastReport | None = None
        self._storage: tuple[float, tuple[StorageSpace, ...]] = (-STORAGE_INTERVAL, ())
        self._waiting: list[Deferred[None]] = []

    async def watch(self, call: WatchNode) -> StatusReport:
        """Return the next report, when there is something to tell or the wait is over."""
        deadline = self._clock.seconds() + call.wait
        while (last := self._last) is not None and last.position == call.since:
            info = await self._look(call)
            now = self._clock.seconds()
            if now >= deadline:
                return self._report_changes(last, await self._look(call, storage=True))
            if not (last.touched or differs(last.info, info)):
                await self._sleep(min(LOOK_INTERVAL, deadline - now), wakes=True)
            elif (early := last.at + REPORT_INTERVAL - now) > 0:
                await self._sleep(min(early, deadline - now))
            else:
                return self._report_changes(last, info)
        return self._remember(await self._look(call, storage=True))

    def reporting(self, handler: Handler[C, R]) -> Handler[C, R]:
        """Return the handler of a call that changes a guest, with a report when it has ended."""

        async def handle(call: C) -> R:
            # Also after an error: the guest may have changed all the same.
            try:
                return await handler(call)
            finally:
                self.report_guest(_guest_of(call))

        return handle

    def report_guest(self, guest: str | None) -> None:
        """Report soon, because a call may have changed a guest.

        It is reported even if it is as before: the master may assume that the call has succeeded.
        """
        if guest is not None and self._last is not None:
            self._last.touched.add(guest)
        # A copy, as waking one removes it from the list.
        for each in tuple(self._waiting):
            self._wake(each)

    async def _look(self, call: WatchNode, *, storage: bool = False) -> NodeInfo:
        """Return the present status; that of the storage may be some seconds old."""
        now = self._clock.seconds()
        read_at, known = self._storage
        storage = storage or now >= read_at + STORAGE_INTERVAL
        question = DescribeNode(
            hypervisors=call.hypervisors, storage=call.storage if storage else ()
        )
        info = await self._describe(question)
        if storage:
            self._storage = now, info.storage
            return info
        last = self._last
        failed = {} if last is None else _storage_problems(last.info, call)
        return replace(info, storage=known, problems={**failed, **info.problems})

    async def _sleep(self, seconds: float, *, wakes: bool = False) -> None:
        """Wait; with ``wakes``, at most until a call has changed a guest."""
        done: Deferred[None] = Deferred()
        timer = self._clock.callLater(max(0.0, seconds), self._wake, done)
        if wakes:
            self._waiting.append(done)
        try:
            await done
        finally:
            if timer.active():
                timer.cancel()
            if done in self._waiting:
                self._waiting.remove(done)

    def _wake(self, done: Deferred[None]) -> None:
        if done in self._waiting:
            self._waiting.remove(done)
        if not done.called:
            done.callback(None)

    def _report_changes(self, last: _LastReport, info: NodeInfo) -> StatusReport:
        before, now = last.info.guests, info.guests
        told = {
            name: guest
            for name, guest in now.items()
            if name in last.touched or name not in before or _differs(before[name], guest)
        }
        gone = (before.keys() | last.touched) - now.keys()
        report = self._remember(info)
        return replace(
            report, info=replace(info, guests=told), whole=False, gone=tuple(sorted(gone))
        )

    def _remember(self, info: NodeInfo) -> StatusReport:
        position = self._new_position()
        self._last = _LastReport(position, info, self._clock.seconds())
        return StatusReport(position=position, info=info)


def _guest_of(call: Call[object]) -> str | None:
    match call:
        case StopInstance():
            return call.instance_name
        case (
            BalloonMemory()
            | StartInstanceCall()
            | RebootInstanceCall()
            | FinalizeMigrationDst()
            | FinalizeMigrationSrc()
        ):
            return call.guest.name
    return None


def _storage_problems(info: NodeInfo, call: WatchNode) -> dict[str, str]:
    """Return what is known of storage units that could not be queried the last time."""
    units = {f"{kind}:{name}" for kind, name in call.storage}
    return {key: why for key, why in info.problems.items() if key in units}


def differs(before: NodeInfo, now: NodeInfo) -> bool:
    """Return whether the difference of two answers is worth a report."""
    if before.guests.keys() != now.guests.keys():
        return True
    if any(_differs(before.guests[name], guest) for name, guest in now.guests.items()):
        return True
    if abs(before.memory_free - now.memory_free) > SIGNIFICANT_SHARE * now.memory_total:
        return True
    # Compared first: a list of other units cannot be compared one by one.
    return _fixed(before) != _fixed(now) or any(
        old.free != new.free and abs(old.free - new.free) > SIGNIFICANT_SHARE * new.size
        for old, new in zip(before.storage, now.storage, strict=True)
    )


def _differs(before: GuestState, now: GuestState) -> bool:
    """Return whether two states of a guest differ in more than the used CPU time."""
    return replace(before, cpu_time=now.cpu_time) != now


def _fixed(info: NodeInfo) -> tuple[object, ...]:
    """Return what seldom changes, and is always worth a report."""
    units = tuple((each.kind, each.name, each.size) for each in info.storage)
    return info.memory_total, info.cpus, info.boot_id, info.problems, info.host_stops, units
