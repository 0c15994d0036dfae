# SPDX-License-Identifier: BSD-2-Clause
"""Events, encoded once for all readers, and the selection of events by a reader."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ganeti.errors import Invalid
from ganeti.events.stream_position import StreamPosition


class EventKind(enum.StrEnum):
    """The kinds of objects that events are about."""

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
    NOTIFICATION = "notification"
    IMAGE = "image"


class EventAction(enum.StrEnum):
    """What has happened; the actions from STARTED on are observed on nodes and in no commit."""

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
    MEMORY = "memory"
    REBOOTED = "rebooted"
    DEGRADED = "degraded"
    RECOVERED = "recovered"
    FENCING = "fencing"
    FENCED = "fenced"
    REJOINED = "rejoined"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its JSON object as bytes, and the values that readers select by.

    Empty ``names`` are unknown names, so that the event may be about any object; the same holds for
    ``tags`` of None.
    """

    cursor: StreamPosition
    kind: str
    names: tuple[str, ...]
    tags: tuple[str, ...] | None
    data: bytes


class _Header(msgspec.Struct):
    """The keys that are read from an event's JSON object."""

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
    """Return an event; ``names`` are further names of the object.

    ``details`` are further keys of its JSON object; None values are left out.
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

    :raises ValueError: the data is not an event.
    """
    header = _decode_header(data)
    names = header.names if header.name is None else (header.name, *header.names)
    return Event(StreamPosition.parse(header.id), header.kind, names, header.tags, data)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The events that a reader selects: of any of the kinds, any of the names, any of the tags.

    An empty set selects all. An event whose names or tags are unknown is selected, as it may match.
    """

    kinds: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, kinds: Sequence[str] = (), names: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> EventFilter:
        """Return the filter for these values.

        :raises Invalid: a kind is unknown.
        """
        if unknown := sorted(set(kinds) - set(EventKind)):
            known = ", ".join(EventKind)
            raise Invalid(f"unknown event kind: {', '.join(unknown)}; known kinds: {known}")
        return cls(frozenset(map(str, kinds)), frozenset(names), frozenset(tags))

    def matches(self, event: Event) -> bool:
        """Return whether the filter selects ``event``."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.names and event.names and self.names.isdisjoint(event.names):
            return False
        return not self.tags or event.tags is None or not self.tags.isdisjoint(event.tags)

    def choose(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return the selected events."""
        if not (self.kinds or self.names or self.tags):
            return events
        return [event for event in events if self.matches(event)]
