# SPDX-License-Identifier: BSD-2-Clause
"""Conversion of commits to events, one for each edit of a public object.

Events are made on demand. Values that the commit does not contain, namely the previous name and
tags of a changed object, are looked up when the commit is made, because later they are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
from immutables import Map

from ganeti.config.state import ClusterState
from ganeti.config.state import RecordKind as Stored
from ganeti.errors import Invalid
from ganeti.events.event import Event, EventAction, EventKind, make_event
from ganeti.events.stream_position import StreamPosition
from ganeti.jobs.job import Job, decode
from ganeti.jobs.job_store import DRAINED, JOB, LOG, QUEUE, JobMessage
from ganeti.journal.interfaces import Append, Commit, Delete, Edit, Position, Put

SHOWN: Mapping[str, Stored] = {
    kind.value: kind
    for kind in (
        Stored.CLUSTER,
        Stored.NODE,
        Stored.GROUP,
        Stored.INSTANCE,
        Stored.DISK,
        Stored.NETWORK,
        Stored.FILTER,
    )
}
"""The kinds of configuration objects that clients see; certificates and spent tokens are not."""

ACCESS = frozenset(
    kind.value for kind in (Stored.USER, Stored.ROLE_GRANT, Stored.API_TOKEN, Stored.OPENID)
)
"""The objects that decide who may do what, of which events say only that they have changed."""

NAMED: Mapping[str, EventKind] = {
    Stored.NOTIFICATION.value: EventKind.NOTIFICATION,
    Stored.IMAGE.value: EventKind.IMAGE,
}
"""Objects with a name that may contain secrets, of which events say only that they have changed."""

_SECRETS: Mapping[str, Sequence[str]] = {
    Stored.CLUSTER: ("osparams_private_cluster",),
    Stored.INSTANCE: ("osparams_private",),
}

_DRBD_SECRET = 5
"""The index of the shared secret in the ``logical_id`` of a DRBD disk."""

_EDIT_OVERHEAD = 250
"""Approximate memory of an edit in bytes, besides its value."""


class Known(msgspec.Struct, frozen=True):
    """The names and tags of an object before a commit."""

    names: tuple[str, ...]
    tags: tuple[str, ...]


Owner: TypeAlias = Callable[[str], str | None]
"""Return the name of the current instance of a disk, given by UUID; None if it has none."""


class CommitEntry:
    """The events of one commit; an entry of the event log."""

    def __init__(
        self, position: Position, commit: Commit, known: Mapping[int, Known], owner: Owner
    ) -> None:
        """``known`` has the objects before the commit, by the index of the edit from 1."""
        self.cursor = StreamPosition(position)
        self.size = sum(map(_estimate_size, commit.edits)) + _EDIT_OVERHEAD
        self._commit = commit
        self._known = known
        self._owner = owner
        self._made: list[Event] = []
        self._next = 0  # index of the next edit to convert

    def events(self, after: StreamPosition, limit: int) -> Sequence[Event]:
        position = self.cursor.position
        start = 0 if after.position < position else after.number
        before = sum(1 for event in self._made if event.cursor.number <= start) if start else 0
        edits = self._commit.edits
        while self._next < len(edits) and len(self._made) - before < limit:
            self._next += 1
            event = self._make_event(edits[self._next - 1], self._next)
            if event is not None:
                self._made.append(event)
                before += self._next <= start
        return self._made[before : before + limit]

    def _make_event(self, edit: Edit, number: int) -> Event | None:
        cursor = StreamPosition(self.cursor.position, number)
        if edit.kind in SHOWN:
            known = self._known.get(number)
            if isinstance(edit, Put):
                return self._make_put_event(edit, cursor, known)
            return self._make_removal_event(edit, cursor, known)
        if edit.kind in (JOB, LOG):
            return self._make_job_event(edit, cursor)
        if edit.kind in ACCESS:
            action = EventAction.CHANGED if isinstance(edit, Put) else EventAction.REMOVED
            return self._build(cursor, EventKind.ACCESS, action, edit.key, what=edit.kind)
        if (named := NAMED.get(edit.kind)) is not None:
            action = EventAction.CHANGED if isinstance(edit, Put) else EventAction.REMOVED
            return self._build(cursor, named, action, edit.key)
        if edit.kind == QUEUE and edit.key == DRAINED and isinstance(edit, Put):
            value = {"drained": msgspec.json.decode(edit.value)}
            return self._build(cursor, EventKind.QUEUE, EventAction.CHANGED, None, value=value)
        return None

    def _make_put_event(self, edit: Put, cursor: StreamPosition, known: Known | None) -> Event:
        value = shown(edit.kind, msgspec.json.decode(edit.value))
        name, others = _find_names(edit.kind, edit.key, value, self._owner)
        if known is not None:
            # Subscribers to the old name must learn that the object has a new one.
            others = (*others, *(each for each in known.names if each not in (name, *others)))
        tags = tuple(value.get("tags", ()))
        if known is not None:
            tags += tuple(each for each in known.tags if each not in tags)
        # A commit does not tell new objects from changed ones.
        created = value.get("serial_no") == 1
        return self._build(
            cursor,
            edit.kind,
            EventAction.CREATED if created else EventAction.CHANGED,
            name,
            names=others,
            tags=tags,
            uuid=edit.key,
            value=value,
        )

    def _make_removal_event(self, edit: Edit, cursor: StreamPosition, known: Known | None) -> Event:
        name, others = (known.names[0], known.names[1:]) if known is not None else (None, ())
        tags = None if known is None else known.tags
        return self._build(
            cursor, edit.kind, EventAction.REMOVED, name, names=others, tags=tags, uuid=edit.key
        )

    def _make_job_event(self, edit: Edit, cursor: StreamPosition) -> Event | None:
        job_id = int(edit.key)
        if isinstance(edit, Delete):
            return self._build(cursor, EventKind.JOB, EventAction.REMOVED, edit.key, job=job_id)
        if isinstance(edit, Append):
            message = msgspec.json.decode(edit.value, type=JobMessage)
            serial, time, kind, text = message.entry
            header = {"op": message.index, "serial": serial, "time": time, "type": kind}
            value = {**header, "message": text}
            return self._build(
                cursor, EventKind.JOB, EventAction.MESSAGE, edit.key, job=job_id, value=value
            )
        try:
            job = decode(edit.value)
        except Invalid:  # stored by another version
            return None
        value = describe_job(job)
        return self._build(
            cursor,
            EventKind.JOB,
            EventAction.CREATED if _is_new(job) else EventAction.CHANGED,
            edit.key,
            names=subjects(job),
            job=job_id,
            value=value,
        )

    def _build(
        self,
        cursor: StreamPosition,
        kind: str,
        action: EventAction,
        name: str | None,
        *,
        names: tuple[str, ...] = (),
        tags: tuple[str, ...] | None = (),
        job: int | None = None,
        **details: object,
    ) -> Event:
        commit = self._commit
        return make_event(
            cursor,
            at=commit.at,
            kind=kind,
            action=action,
            name=name,
            names=names,
            tags=tags,
            who=commit.who,
            why=commit.why,
            job=commit.job if job is None else job,
            **details,
        )


def find_previous_objects(commit: Commit, state: ClusterState) -> dict[int, Known]:
    """Return what ``state``, the state before ``commit``, has of the objects it changes."""
    found = {}
    for number, edit in enumerate(commit.edits, 1):
        kind = SHOWN.get(edit.kind)
        if kind is None:
            continue
        record = state.objects.get(kind, Map()).get(edit.key)
        if record is None:
            continue
        name, others = _find_names(
            edit.kind, edit.key, _Attributes(record), make_owner_lookup(state)
        )
        names = others if name is None else (name, *others)
        found[number] = Known(names, tuple(getattr(record, "tags", ())))
    return found


class _Attributes:
    """Attribute access to a record under the interface of a document."""

    def __init__(self, record: object) -> None:
        self._record = record

    def get(self, name: str) -> Any:
        return getattr(self._record, name, None)


def make_owner_lookup(state: ClusterState) -> Owner:
    """Return a function that finds the instance of a disk in ``state``."""

    def owner(disk: str) -> str | None:
        instance = state.instances.get(state.owners.get(disk, ""))
        return None if instance is None else instance.name

    return owner


def shown(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the record of an object without secrets; modifies ``document``."""
    for name in _SECRETS.get(kind, ()):
        document.pop(name, None)
    if kind == Stored.DISK and document.get("dev_type") == "drbd":
        document["logical_id"] = document["logical_id"][:_DRBD_SECRET]
    return document


def describe_job(job: Job) -> dict[str, object]:
    """Return the value of a job in events, under the field names of job queries."""
    return {
        "id": job.id,
        "status": job.status.value,
        "summary": job.summary,
        "opstatus": [op.status.value for op in job.ops],
        "priority": job.priority,
        "received_ts": job.received_timestamp,
        "start_ts": job.start_timestamp,
        "end_ts": job.end_timestamp,
    }


def subjects(job: Job) -> tuple[str, ...]:
    """Return the names of the objects that the opcodes of a job act on."""
    found: dict[str, None] = {}
    for op in job.ops:
        try:
            opcode = op.opcode
        except Invalid:  # stored by another version
            continue
        for name in ("instance_name", "node_name", "group_name", "network_name"):
            value = getattr(opcode, name, None)
            if isinstance(value, str) and value:
                found[value] = None
    return tuple(found)


def _is_new(job: Job) -> bool:
    return job.start_timestamp is None and all(op.status.value == "queued" for op in job.ops)


def _find_names(
    kind: str, key: str, record: dict[str, Any] | _Attributes, owner: Owner
) -> tuple[str | None, tuple[str, ...]]:
    """Return the name of an object, and other names that subscribers may use for it."""
    if kind == Stored.CLUSTER:
        return record.get("cluster_name"), ()
    if kind == Stored.DISK:
        # Users look for a disk under the name of its instance.
        instance = owner(key)
        return (None, ()) if instance is None else (instance, (key,))
    if kind == Stored.FILTER:
        return key, ()
    return record.get("name"), ()


def _estimate_size(edit: Edit) -> int:
    return _EDIT_OVERHEAD + (0 if isinstance(edit, Delete) else len(memoryview(edit.value)))
