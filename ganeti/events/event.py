# SPDX-License-Identifier: BSD-2-Clause
"""Events, encoded once for all who read them, and the selection that a reader makes of them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ganeti.errors import Invalid
from ganeti.events.stream_position import StreamPosition


class EventKind(enum.StrEnum):
    """What events are about."""

    CLUSTER = "cluster"
    NODE = "node"
    GROUP = "group"
    INSTANCE = "instance"
    DISK = "disk"
    NETWORK = "network"
    FILTER = "filter"
    JOB = "job"
    QUEUE = "queue"
    ACCESS = "access"


class EventAction(enum.StrEnum):
    """What has happened; the last ones are seen on nodes, and in no commit."""

    CREATED = "created"
    CHANGED = "changed"
    REMOVED = "removed"
    MESSAGE = "message"

    MASTER_STARTED = "master-started"
    STARTED = "started"
    STOPPED = "stopped"
    CRASHED = "crashed"
    MIGRATED = "migrated"
    UNREACHABLE = "unreachable"
    REACHABLE = "reachable"
    REBOOTED = "rebooted"
    DEGRADED = "degraded"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its JSON object as bytes, and what readers select by.

    No ``names`` means that they are not known, and that the event may be about any object; so do
    ``tags`` of None.
    """

    cursor: StreamPosition
    kind: str
    names: tuple[str, ...]
    tags: tuple[str, ...] | None
    data: bytes


class _Header(msgspec.Struct):
    """What is read of an event's JSON object."""

    id: str
    kind: str
    name: str | None = None
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] | None = ()


_decode_header = msgspec.json.Decoder(_Header).decode
_encode = msgspec.json.Encoder().encode


def make_event(
    cursor: StreamPosition,
    *,
    at: float,
    kind: str,
    action: str,
    name: str | None,
    names: tuple[str, ...] = (),
    tags: tuple[str, ...] | None = (),
    **details: object,
) -> Event:
    """Return an event; ``names`` are further objects that it is about.

    ``details`` are further keys of its JSON object; those that are None are left out.
    """
    document: dict[str, object] = {
        "id": str(cursor),
        "at": at,
        "kind": kind,
        "action": action,
        "name": name,
    }
    if names:
        document["names"] = names
    document["tags"] = tags
    document.update({key: value for key, value in details.items() if value is not None})
    every_name = names if name is None else (name, *names)
    return Event(cursor, str(kind), every_name, tags, _encode(document))


def read_event(data: bytes) -> Event:
    """Return the event that is encoded in ``data``.

    :raises ValueError: it is none.
    """
    header = _decode_header(data)
    names = header.names if header.name is None else (header.name, *header.names)
    return Event(StreamPosition.parse(header.id), header.kind, names, header.tags, data)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a reader wants: of any of the kinds, about any of the objects, with any tag.

    What is empty selects all. An event about an object whose name or tags are not known is
    selected, as it may be one of those.
    """

    kinds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, kinds: Sequence[str] = (), names: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> EventFilter:
        """Return the selection by these words.

        :raises Invalid: there is no such kind of events.
        """
        if unknown := sorted(set(kinds) - set(EventKind)):
            known = ", ".join(EventKind)
            raise Invalid(f"no such kind of event: {', '.join(unknown)}; the kinds are {known}")
        return cls(frozenset(map(str, kinds)), frozenset(names), frozenset(tags))

    def matches(self, event: Event) -> bool:
        """Return whether the reader wants ``event``."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.names and event.names and self.names.isdisjoint(event.names):
            return False
        return not self.tags or event.tags is None or not self.tags.isdisjoint(event.tags)

    def choose(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return those of ``events`` that the reader wants."""
        if not (self.kinds or self.names or self.tags):
            return events
        return [event for event in events if self.matches(event)]
