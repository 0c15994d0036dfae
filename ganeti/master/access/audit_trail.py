# SPDX-License-Identifier: BSD-2-Clause
"""What callers were refused, and what they did without a job: kept in the journal.

A caller that is refused often must not fill the journal: entries are collected for a moment, equal
ones are counted, and of very many different ones only the number is kept. Actions and denials do
not take the place of each other.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.access.display_text import printable
from ganeti.errors import CommitFailed
from ganeti.journal.interfaces import Append, Commit, IJournal
from ganeti.schema.records import Record, replace

KIND = "audit"
"""The kind of the records in the journal."""

PAUSE = 1.0
"""Seconds from the first entry until it is kept, with all that came meanwhile."""

REST = 10.0
"""Seconds until the next entries are kept."""

MAX_AT_ONCE = 50
"""How many different denials one commit has, and how many actions; further ones are counted.

Each has its own limit: a client that is refused very often must not hide the actions of others.
"""

MAX_TEXT = 300
"""How many characters of a text that a client has made are kept."""


class AuditEntry(Record, omit_defaults=True):
    """An action of a user, or one that was ``denied``, and ``why``; ``how`` is its origin."""

    at: float
    who: str
    how: str = ""
    what: str = ""
    why: str = ""
    denied: bool = False
    count: int = 1


class AuditTrail:
    """Keeps entries in the journal; ``now`` in seconds since the epoch."""

    _log = Logger()

    def __init__(self, journal: IJournal, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._now = now
        self._entries: dict[tuple[object, ...], AuditEntry] = {}
        self._left_out = {False: 0, True: 0}
        """The number of actions and of denials for which there was no room."""
        self._timer: IDelayedCall | None = None
        self._keeping: Deferred[None] | None = None
        self._not_before = 0.0

    def record_denial(self, who: str, how: str, what: str, why: str) -> None:
        """Record that a request was refused."""
        self._add(AuditEntry(at=self._now(), who=who, how=how, what=what, why=why, denied=True))

    def record_action(self, who: str, how: str, what: str) -> None:
        """Record an action for which there is no job."""
        self._add(AuditEntry(at=self._now(), who=who, how=how, what=what))

    async def record(self, who: str, how: str, what: str, why: str) -> None:
        """Note what the remote API has refused."""
        self.record_denial(who, how, what, why)

    def stop(self) -> None:
        """Keep nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._keeping is not None:
            self._keeping.cancel()

    def _add(self, entry: AuditEntry) -> None:
        entry = replace(
            entry,
            **{
                name: printable(getattr(entry, name), MAX_TEXT)
                for name in ("who", "how", "what", "why")
            },
        )
        key = entry.who, entry.how, entry.what, entry.why, entry.denied
        known = self._entries.get(key)
        if known is not None:
            self._entries[key] = replace(known, count=known.count + 1)
        elif sum(each.denied == entry.denied for each in self._entries.values()) < MAX_AT_ONCE:
            self._entries[key] = entry
        else:
            self._left_out[entry.denied] += 1
        if self._timer is None:
            delay = max(PAUSE, self._not_before - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._keep)

    def _keep(self) -> None:
        self._timer = None
        self._not_before = self._clock.seconds() + REST
        entries, self._entries = list(self._entries.values()), {}
        for denied, count in self._left_out.items():
            if count:
                kind = "denials" if denied else "actions"
                what = f"{count} further {kind}, which are not kept"
                entries.append(AuditEntry(at=self._now(), who="several", what=what, denied=denied))
                self._left_out[denied] = 0
        edits = tuple(
            Append(kind=KIND, key="", value=msgspec.Raw(msgspec.json.encode(entry)))
            for entry in entries
        )
        commit = Commit(at=self._now(), who="ganeti-masterd", why="audit", edits=edits)
        self._keeping = Deferred.fromCoroutine(self._append(commit)).addErrback(self._not_kept)

    async def _append(self, commit: Commit) -> None:
        await self._journal.append(commit)

    def _not_kept(self, failure: Failure) -> None:
        if not failure.check(CommitFailed):
            self._log.failure("the audit trail could not be kept", failure)
