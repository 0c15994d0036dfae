# SPDX-License-Identifier: BSD-2-Clause
"""The lock table: holders and waiters of all locks; pure bookkeeping without waiting.

A request is granted whole or not at all, so that holders never wait and deadlocks are impossible.
Requests are served by priority, then in order of arrival. A waiter also blocks later requests that
conflict with it, so that shared requests do not starve an exclusive one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby
from typing import TypeAlias

from ganeti.locking.names import CONFLICTS, LockMode, LockName, LockRequest, Owner

_QueuePosition: TypeAlias = tuple[int, int, Owner]
"""The position of a request in the queue: priority, ticket number, owner."""


class AlreadyRequested(Exception):
    """A request of an owner that already holds or waits; it must release first."""


@dataclass(frozen=True)
class LockRow:
    """One lock as operators see it: its holders, and its waiters in order.

    Modes are ``shared`` and ``exclusive``; adjacent waiters with the same mode are one entry.
    """

    name: LockName
    mode: str | None
    owners: tuple[Owner, ...]
    pending: tuple[tuple[str, tuple[Owner, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Request:
    place: _QueuePosition
    wants: LockRequest


class _Lock:
    """One lock: its holders, and the queue positions of its waiters, by mode.

    Only the first position of each mode can block later requests, so that a check needs no scan of
    the queue, even with thousands of waiters.
    """

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held: dict[LockMode, dict[Owner, None]] = {}
        self.waiting: dict[LockMode, list[_QueuePosition]] = {}

    def is_free_for(self, mode: LockMode, place: _QueuePosition) -> bool:
        """Return whether ``mode`` conflicts with no holder and no waiter ahead of ``place``."""
        for other in CONFLICTS[mode]:
            if other in self.held:
                return False
            queue = self.waiting.get(other)
            if queue and queue[0] < place:
                return False
        return True

    def list_unblocked(
        self, mode: LockMode, place: _QueuePosition | None
    ) -> Iterator[_QueuePosition]:
        """Yield the waiters behind ``place`` (None: behind a holder) that its removal unblocks."""
        if mode in self.held:
            return
        for other in CONFLICTS[mode]:
            queue = self.waiting.get(other, [])
            start = 0 if place is None else bisect_right(queue, place)
            for waiter in queue[start:] if start else queue:
                if not self.is_free_for(other, waiter):
                    break  # the same conflict is ahead of the later waiters of this mode
                yield waiter

    def add(self, mode: LockMode, place: _QueuePosition) -> None:
        insort(self.waiting.setdefault(mode, []), place)

    def remove(self, mode: LockMode, place: _QueuePosition) -> None:
        queue = self.waiting[mode]
        del queue[bisect_left(queue, place)]
        if not queue:
            del self.waiting[mode]

    def grant_mode(self, mode: LockMode, owner: Owner) -> None:
        self.held.setdefault(mode, {})[owner] = None

    def release(self, mode: LockMode, owner: Owner) -> None:
        owners = self.held[mode]
        del owners[owner]
        if not owners:
            del self.held[mode]

    def row(self, name: LockName) -> LockRow:
        owners = tuple(owner for holders in self.held.values() for owner in holders)
        mode = LockMode.EXCLUSIVE if LockMode.EXCLUSIVE in self.held else LockMode.SHARED
        queue = sorted(
            (place, _format_mode(mode)) for mode in self.waiting for place in self.waiting[mode]
        )
        pending = tuple(
            (shown, tuple(owner for (_, _, owner), _ in group))
            for shown, group in groupby(queue, key=lambda waiter: waiter[1])
        )
        return LockRow(name, _format_mode(mode) if owners else None, owners, pending)


class LockTable:
    """Grants each request whole or not at all, so that holders never wait.

    Methods that can unblock waiters return the owners whose requests were granted, in queue order;
    these hold their locks from then on.
    """

    def __init__(self) -> None:
        self._tickets = count(1)
        self._locks: dict[LockName, _Lock] = {}
        self._held: dict[Owner, _Request] = {}
        self._waiting: dict[Owner, _Request] = {}

    def request(self, owner: Owner, wants: LockRequest, priority: int = 0) -> list[Owner]:
        """Request locks, all or nothing; lower priorities are served first.

        :raises AlreadyRequested: the owner holds or waits.
        """
        if owner in self._held or owner in self._waiting:
            raise AlreadyRequested(
                f"{owner} requests locks before it has released those of its last request"
            )
        request = _Request((priority, next(self._tickets), owner), wants)
        self._enqueue(request)
        return self._grant([request.place])

    def release(self, owner: Owner) -> list[Owner]:
        """Release the locks of ``owner`` or cancel its request; do nothing if it has neither."""
        if (held := self._held.pop(owner, None)) is not None:
            for name, mode in held.wants.items():
                self._locks[name].release(mode, owner)
            return self._grant(self._list_unblocked(held.wants, None))
        if (waiting := self._waiting.get(owner)) is not None:
            self._dequeue(waiting)
            return self._grant(self._list_unblocked(waiting.wants, waiting.place))
        return []

    def reprioritize(self, owner: Owner, priority: int) -> list[Owner]:
        """Change the priority of a waiter, which keeps its age; a holder is not affected."""
        old = self._waiting.get(owner)
        if old is None or old.place[0] == priority:
            return []
        self._dequeue(old)
        new = _Request((priority, old.place[1], owner), old.wants)
        self._enqueue(new)
        return self._grant([*self._list_unblocked(old.wants, old.place), new.place])

    def is_granted(self, owner: Owner) -> bool:
        """Return whether the request of ``owner`` was granted."""
        return owner in self._held

    def in_use(self, name: LockName) -> bool:
        """Return whether a shared request for the lock would have to wait."""
        lock = self._locks.get(name)
        return lock is not None and (
            LockMode.EXCLUSIVE in lock.held or LockMode.EXCLUSIVE in lock.waiting
        )

    def rows(self) -> list[LockRow]:
        """Return every lock with holders or waiters, sorted by name."""
        return [lock.row(name) for name, lock in sorted(self._locks.items())]

    def _enqueue(self, request: _Request) -> None:
        self._waiting[request.place[2]] = request
        for name, mode in request.wants.items():
            lock = self._locks.get(name)
            if lock is None:
                lock = self._locks[name] = _Lock()
            lock.add(mode, request.place)

    def _dequeue(self, request: _Request) -> None:
        del self._waiting[request.place[2]]
        for name, mode in request.wants.items():
            self._locks[name].remove(mode, request.place)

    def _list_unblocked(
        self, wants: LockRequest, place: _QueuePosition | None
    ) -> list[_QueuePosition]:
        """Return the waiters unblocked by the removal of a holder or of the waiter at ``place``."""
        freed: dict[_QueuePosition, None] = {}
        for name, mode in wants.items():
            lock = self._locks[name]
            if not lock.held and not lock.waiting:
                del self._locks[name]
            else:
                freed.update(dict.fromkeys(lock.list_unblocked(mode, place)))
        return sorted(freed)

    def _grant(self, candidates: list[_QueuePosition]) -> list[Owner]:
        """Grant the requests of those ``candidates`` that no lock blocks.

        A grant neither unblocks nor blocks other waiters: those behind were already behind this
        waiter, and those ahead do not conflict with it.
        """
        granted: list[Owner] = []
        for place in candidates:
            owner = place[2]
            request = self._waiting.get(owner)
            if request is None or not all(
                self._locks[name].is_free_for(mode, place) for name, mode in request.wants.items()
            ):
                continue
            self._dequeue(request)
            self._held[owner] = request
            for name, mode in request.wants.items():
                self._locks[name].grant_mode(mode, owner)
            granted.append(owner)
        return granted


def _format_mode(mode: LockMode) -> str:
    """Return the mode that operators see; modes for a part of a lockset appear as shared."""
    return "exclusive" if mode is LockMode.EXCLUSIVE else "shared"
