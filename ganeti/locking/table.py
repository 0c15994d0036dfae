# SPDX-License-Identifier: BSD-2-Clause
"""Which owners hold which locks and who waits for them; pure bookkeeping, nothing waits here.

A request is granted whole or not at all, so whoever holds never waits and nothing can deadlock.
Requests are served by priority, then in the order they came. One that waits also keeps those
behind it from what it wants, so an exclusive request is not starved by shared ones.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, groupby
from typing import TypeAlias

from ganeti.locking.names import CLASHES, LockMode, LockName, LockRequest, Owner

_Place: TypeAlias = tuple[int, int, Owner]
"""Where a request stands: priority, the number of its ticket, its owner."""


class AlreadyAsked(Exception):
    """An owner that holds or waits asked again; it must give back first."""


@dataclass(frozen=True)
class LockRow:
    """One lock as an operator sees it: who holds it, and who waits for it in order.

    Modes are ``shared`` and ``exclusive``; neighbours in the queue with the same wish are together.
    """

    name: LockName
    mode: str | None
    owners: tuple[Owner, ...]
    pending: tuple[tuple[str, tuple[Owner, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Request:
    place: _Place
    wants: LockRequest


class _Lock:
    """One lock: the owners that hold it, and the places of those who wait, by mode.

    Of each mode only the first place matters to those who stand behind, so whether somebody is
    blocked is known without looking at the whole queue: three thousand waiters cost no scan.
    """

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held: dict[LockMode, dict[Owner, None]] = {}
        self.waiting: dict[LockMode, list[_Place]] = {}

    def is_free_for(self, mode: LockMode, place: _Place) -> bool:
        """Whether nobody who holds, or waits ahead of ``place``, clashes with ``mode``."""
        for other in CLASHES[mode]:
            if other in self.held:
                return False
            queue = self.waiting.get(other)
            if queue and queue[0] < place:
                return False
        return True

    def freed_by(self, mode: LockMode, place: _Place | None) -> Iterator[_Place]:
        """Who stands behind ``place`` (None: a holder's) and clashes with nobody without it."""
        if mode in self.held:
            return
        for other in CLASHES[mode]:
            queue = self.waiting.get(other, [])
            start = 0 if place is None else bisect_right(queue, place)
            for waiter in queue[start:] if start else queue:
                if not self.is_free_for(other, waiter):
                    break  # whatever blocks this one stands ahead of the rest of its mode as well
                yield waiter

    def add(self, mode: LockMode, place: _Place) -> None:
        insort(self.waiting.setdefault(mode, []), place)

    def remove(self, mode: LockMode, place: _Place) -> None:
        queue = self.waiting[mode]
        del queue[bisect_left(queue, place)]
        if not queue:
            del self.waiting[mode]

    def hold(self, mode: LockMode, owner: Owner) -> None:
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
            (place, _shown(mode)) for mode in self.waiting for place in self.waiting[mode]
        )
        pending = tuple(
            (shown, tuple(owner for (_, _, owner), _ in group))
            for shown, group in groupby(queue, key=lambda waiter: waiter[1])
        )
        return LockRow(name, _shown(mode) if owners else None, owners, pending)


class LockTable:
    """Grants each request whole or not at all, so owners that hold never wait.

    Every method that may let somebody have what it waits for answers with those owners, in the
    order of their places; they hold from then on.
    """

    def __init__(self) -> None:
        self._tickets = count(1)
        self._locks: dict[LockName, _Lock] = {}
        self._held: dict[Owner, _Request] = {}
        self._waiting: dict[Owner, _Request] = {}

    def request(self, owner: Owner, wants: LockRequest, priority: int = 0) -> list[Owner]:
        """Ask for locks, all of them or none yet; lower priorities come first.

        :raises AlreadyAsked: the owner holds or waits.
        """
        if owner in self._held or owner in self._waiting:
            raise AlreadyAsked(
                f"{owner} asks for locks before it has given back those it asked for"
            )
        request = _Request((priority, next(self._tickets), owner), wants)
        self._enter(request)
        return self._grant([request.place])

    def release(self, owner: Owner) -> list[Owner]:
        """Give back what ``owner`` holds, or take it out of the queue; without either, nothing."""
        if (held := self._held.pop(owner, None)) is not None:
            for name, mode in held.wants.items():
                self._locks[name].release(mode, owner)
            return self._grant(self._freed(held.wants, None))
        if (waiting := self._waiting.get(owner)) is not None:
            self._leave(waiting)
            return self._grant(self._freed(waiting.wants, waiting.place))
        return []

    def reprioritize(self, owner: Owner, priority: int) -> list[Owner]:
        """Move a waiting owner among the others; its age stays. A holder keeps what it has."""
        old = self._waiting.get(owner)
        if old is None or old.place[0] == priority:
            return []
        self._leave(old)
        new = _Request((priority, old.place[1], owner), old.wants)
        self._enter(new)
        return self._grant([*self._freed(old.wants, old.place), new.place])

    def holds(self, owner: Owner) -> bool:
        """Whether ``owner`` has what it asked for."""
        return owner in self._held

    def in_use(self, name: LockName) -> bool:
        """Return whether somebody who wants the lock together with others would have to wait."""
        lock = self._locks.get(name)
        return lock is not None and (
            LockMode.EXCLUSIVE in lock.held or LockMode.EXCLUSIVE in lock.waiting
        )

    def rows(self) -> list[LockRow]:
        """Every lock that somebody holds or waits for, by name."""
        return [lock.row(name) for name, lock in sorted(self._locks.items())]

    def _enter(self, request: _Request) -> None:
        self._waiting[request.place[2]] = request
        for name, mode in request.wants.items():
            lock = self._locks.get(name)
            if lock is None:
                lock = self._locks[name] = _Lock()
            lock.add(mode, request.place)

    def _leave(self, request: _Request) -> None:
        del self._waiting[request.place[2]]
        for name, mode in request.wants.items():
            self._locks[name].remove(mode, request.place)

    def _freed(self, wants: LockRequest, place: _Place | None) -> list[_Place]:
        """Whom ``wants`` blocked, now given up by a holder or by the waiter at ``place``."""
        freed: dict[_Place, None] = {}
        for name, mode in wants.items():
            lock = self._locks[name]
            if not lock.held and not lock.waiting:
                del self._locks[name]
            else:
                freed.update(dict.fromkeys(lock.freed_by(mode, place)))
        return sorted(freed)

    def _grant(self, candidates: list[_Place]) -> list[Owner]:
        """Give those of ``candidates`` what they want who are blocked nowhere.

        Becoming a holder frees and blocks nobody: those behind had the waiter ahead of them
        already, and whoever was ahead of it does not clash with it.
        """
        granted: list[Owner] = []
        for place in candidates:
            owner = place[2]
            request = self._waiting.get(owner)
            if request is None or not all(
                self._locks[name].is_free_for(mode, place) for name, mode in request.wants.items()
            ):
                continue
            self._leave(request)
            self._held[owner] = request
            for name, mode in request.wants.items():
                self._locks[name].hold(mode, owner)
            granted.append(owner)
        return granted


def _shown(mode: LockMode) -> str:
    """The mode in the words that operators know: who wants some of a set shares the set."""
    return "exclusive" if mode is LockMode.EXCLUSIVE else "shared"
