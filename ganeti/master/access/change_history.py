# SPDX-License-Identifier: BSD-2-Clause
"""Who has changed what, when, why, from where and by what: read from the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.errors import Invalid
from ganeti.events.event import EventAction, EventKind
from ganeti.events.stream_position import StreamPosition
from ganeti.jobs.job import Job, decode
from ganeti.jobs.job_store import JOB
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import Append, Commit, JournalDamaged, Position, Put
from ganeti.journal.segments import PositionNotFound
from ganeti.master.access.audit_trail import KIND, AuditEntry
from ganeti.master.change_events import CommitEntry, subjects
from ganeti.schema.records import Record

TRAIL = "gnt:access:"
"""Begins the source of the entry in a job's reason trail that says on whose behalf it is."""

LOCAL = "local"
"""Stands for programs on the master's host, which need no user."""

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000

SLICE = 50
"""How many commits are read in one turn of the reactor."""

MAX_CHANGES = 50
"""How many changed objects of one commit are listed."""

_UNTOLD = frozenset(("audit", "the last uses of tokens", "the progress of notifications"))


class Changed(Record, omit_defaults=True):
    """An object that a commit has changed."""

    kind: str
    action: str
    name: str | None = None
    uuid: str | None = None


class HistoryEntry(Record):
    """Something that has happened.

    ``position`` is that of the commit in the journal, 0 if that has let it go. ``user`` is the user
    of the remote API, or ``local``, or the daemon that did it by itself; ``how`` says from where,
    and by which token.
    """

    position: Position
    at: float
    user: str
    how: str
    what: str
    job: int | None
    denied: bool
    count: int
    changes: tuple[Changed, ...]


class History:
    """Answers about the past, as far as the journal reaches back."""

    def __init__(
        self,
        journal: FileJournal,
        clock: IReactorTime,
        jobs: Callable[[], Sequence[Job]],
        find_job: Callable[[int], Job | None],
    ) -> None:
        """``jobs`` are those of the queue; ``find_job`` knows archived ones, too."""
        self._journal = journal
        self._clock = clock
        self._jobs = jobs
        self._find_job = find_job
        self._turn = DeferredLock()

    async def query_history(
        self,
        name: str | None = None,
        user: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = DEFAULT_LIMIT,
        denials: bool = True,
    ) -> list[HistoryEntry]:
        """Return the newest entries first: about an object, by a user, within a time.

        :raises Invalid: ``limit`` is too large.
        """
        if not 0 < limit <= MAX_LIMIT:
            raise Invalid(f"limit must be from 1 to {MAX_LIMIT}")

        def wanted(entry: HistoryEntry) -> bool:
            return (
                (since is None or entry.at >= since)
                and (until is None or entry.at <= until)
                and (user is None or entry.user == user)
                and (denials or not entry.denied)
                and (name is None or _is_about(entry, name))
            )

        # As they are found by going forward, the oldest make room for newer ones.
        found: deque[HistoryEntry] = deque(maxlen=limit)
        submitted: dict[int, tuple[str, str]] = {}
        async with self._turn:  # as it reads much
            async for entry in self._entries(submitted):
                if wanted(entry):
                    found.append(entry)
        # The queue remembers jobs for longer than the journal, which is cut at checkpoints.
        older = (self._queued(job) for job in self._jobs() if job.id not in submitted)
        known = sorted(
            [*found, *(entry for entry in older if wanted(entry))],
            key=lambda entry: (entry.at, entry.position),
            reverse=True,
        )
        return known[:limit]

    def _queued(self, job: Job) -> HistoryEntry:
        seconds, microseconds = job.received_timestamp or (0, 0)
        return _submission(0, seconds + microseconds / 1_000_000, job)

    async def _entries(self, submitted: dict[int, tuple[str, str]]) -> AsyncIterator[HistoryEntry]:
        try:
            commits = self._journal.replay(self._journal.base_position())
            for number, (position, commit) in enumerate(commits, 1):
                for entry in self._of(position, commit, submitted):
                    yield entry
                if number % SLICE == 0:
                    await deferLater(self._clock, 0)
        except (JournalDamaged, PositionNotFound):
            return  # a checkpoint has dropped the oldest meanwhile; return what was read

    def _of(
        self, position: Position, commit: Commit, submitted: dict[int, tuple[str, str]]
    ) -> Iterator[HistoryEntry]:
        for edit in commit.edits:
            if edit.kind == KIND and isinstance(edit, Append):
                yield _audited(position, msgspec.json.decode(edit.value, type=AuditEntry))
            # A job is stored again with each change of its status.
            if edit.kind == JOB and isinstance(edit, Put) and commit.why == "submitted":
                try:
                    job = decode(edit.value)
                except Invalid:  # of another version
                    continue
                submitted[job.id] = submitter(job)
                yield _submission(position, commit.at, job)
        # These are routine and would hide other entries.
        if commit.why in _UNTOLD:
            return
        if changes := tuple(_changes(position, commit)):
            user, how = self._who(commit, submitted)
            yield HistoryEntry(
                position=position,
                at=commit.at,
                user=user,
                how=how,
                what=commit.why,
                job=commit.job,
                denied=False,
                count=1,
                changes=changes,
            )

    def _who(self, commit: Commit, submitted: dict[int, tuple[str, str]]) -> tuple[str, str]:
        if commit.job is None:
            return commit.who, ""
        if commit.job in submitted:
            return submitted[commit.job]
        job = self._find_job(commit.job)
        return (LOCAL, "") if job is None else submitter(job)


def submitter(job: Job) -> tuple[str, str]:
    """Return on behalf of whom a job is, from where and by what."""
    try:
        trail: Sequence[Sequence[object]] = job.ops[0].opcode.reason or () if job.ops else ()
    except Invalid:  # of another version
        return LOCAL, ""
    for source, text, *_ in trail:
        if isinstance(source, str) and source.startswith(TRAIL):
            return source.removeprefix(TRAIL), str(text)
    return LOCAL, ""


def _submission(position: Position, at: float, job: Job) -> HistoryEntry:
    user, how = submitter(job)
    about = tuple(Changed(kind="job", action="submitted", name=name) for name in subjects(job))
    return HistoryEntry(
        position=position,
        at=at,
        user=user,
        how=how,
        what=", ".join(job.summary),
        job=job.id,
        denied=False,
        count=1,
        changes=about,
    )


def _audited(position: Position, entry: AuditEntry) -> HistoryEntry:
    what = f"{entry.what}: {entry.why}" if entry.why else entry.what
    return HistoryEntry(
        position=position,
        at=entry.at,
        user=entry.who,
        how=entry.how,
        what=what,
        job=None,
        denied=entry.denied,
        count=entry.count,
        changes=(),
    )


def _changes(position: Position, commit: Commit) -> Iterator[Changed]:
    made = CommitEntry(position, commit, {}, lambda disk: None)
    for event in made.events(StreamPosition(position - 1), MAX_CHANGES):
        if event.kind == EventKind.JOB:
            continue
        told: Mapping[str, Any] = msgspec.json.decode(event.data)
        action = str(told["action"])
        if action != EventAction.MESSAGE:
            kind = str(told.get("what") or event.kind)
            yield Changed(kind=kind, action=action, name=told.get("name"), uuid=told.get("uuid"))


def _is_about(entry: HistoryEntry, name: str) -> bool:
    if any(name in (each.name, each.uuid) for each in entry.changes):
        return True
    return name in entry.what.replace("(", " ").replace(")", " ").replace(",", " ").split()
