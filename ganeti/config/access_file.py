# SPDX-License-Identifier: BSD-2-Clause
"""The file ``access.json``: what ``config.data`` has no place for.

Both files belong to one checkpoint, and this one is written first: commits that ``config.data``
contains are not replayed, so the objects here must never be older. Newer ones do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from immutables import Map

from ganeti.config.card_rules import collect_rules, restore_rules
from ganeti.config.record_codec import decoded, encoder
from ganeti.config.state import ClusterState, RecordKind, Stored
from ganeti.errors import Invalid
from ganeti.journal.interfaces import LATER_RELEASE
from ganeti.schema.documents import UNREADABLE, Document

NAME = "access.json"
VERSION = 1

SECTIONS: Mapping[RecordKind, str] = {
    RecordKind.AUTHORITIES: "authorities",
    RecordKind.CERTIFICATE: "certificates",
    RecordKind.SPENT_TOKEN: "spent_tokens",
    RecordKind.USER: "users",
    RecordKind.ROLE_GRANT: "role_grants",
    RecordKind.API_TOKEN: "api_tokens",
    RecordKind.OPENID: "openid",
    RecordKind.NOTIFICATION: "notifications",
    RecordKind.NOTIFICATION_PROGRESS: "notification_progress",
    RecordKind.IMAGE: "images",
    RecordKind.INSTANCE_FAILOVER: "instance_failover",
    RecordKind.FAILOVER_SETTINGS: "failover_settings",
    RecordKind.NODE_MAINTENANCE: "node_maintenance",
    RecordKind.NODE_GUARD: "node_guards",
    RecordKind.NODE_FENCE: "node_fences",
    RecordKind.FENCE_HISTORY: "fence_history",
    RecordKind.INSTANCE_SNAPSHOTS: "instance_snapshots",
    RecordKind.BACKUP_REPOSITORY: "backup_repositories",
    RecordKind.BACKUP_SCHEDULE: "backup_schedules",
    RecordKind.BACKUP_SCHEDULE_PROGRESS: "backup_schedule_progress",
}
"""The section of the file for each kind of object."""

CARD_RULES = "card_rules"
"""The section of parameters of objects in ``config.data``; it is left out if there are none."""


def text(state: ClusterState) -> bytes:
    """Return the content of the file for ``state``; equal states give equal bytes."""
    sections = {
        name: dict(sorted(_objects(state, kind).items())) for kind, name in SECTIONS.items()
    }
    rules = collect_rules(state)
    more = {CARD_RULES: rules} if rules else {}
    return encoder.encode({"version": VERSION, **sections, **more}) + b"\n"


def differs(state: ClusterState, before: ClusterState | None) -> bool:
    """Return whether the file differs between ``state`` and the state ``before``."""
    # A section that was not changed is the same object.
    return (
        before is None
        or any(_objects(state, kind) is not _objects(before, kind) for kind in SECTIONS)
        or collect_rules(state) != collect_rules(before)
    )


def restore(state: ClusterState, content: bytes | None) -> ClusterState:
    """Return ``state``, read from ``config.data``, with the objects of this file added.

    ``content`` is None if the file does not exist, as for a configuration of other software.

    :raises Invalid: the file is damaged, or has an unknown version.
    """
    if content is None:
        return state
    document = _decode(content)
    for record in _read(document):
        state = state.put(record)
    try:
        state = restore_rules(state, document.get(CARD_RULES, {}))
    except msgspec.ValidationError as e:
        raise _damaged(e) from None
    # These objects are part of the checkpoint, so that there is nothing to commit.
    return state.settled()


def _decode(content: bytes) -> Document:
    try:
        document = msgspec.json.decode(content, type=Document)
    except UNREADABLE as e:
        raise _damaged(e) from None
    if document.get("version") != VERSION:
        raise Invalid(
            f"{NAME} has version {document.get('version')}, this software reads version {VERSION}:"
            f" {LATER_RELEASE}"
        )
    # Left out of the next checkpoint, they would be lost.
    if unknown := sorted(document.keys() - {"version", *SECTIONS.values(), CARD_RULES}):
        raise Invalid(f"{NAME} has unknown sections ({', '.join(unknown)}): {LATER_RELEASE}")
    return document


def _damaged(error: Exception) -> Invalid:
    return Invalid(
        f"{NAME} is damaged: {error}; copy it, with config.data and the journal, from another"
        " master candidate"
    )


def _read(document: Document) -> Iterator[Stored]:
    try:
        sections = {
            kind: msgspec.convert(document.get(name, {}), Document)
            for kind, name in SECTIONS.items()
        }
    except UNREADABLE as e:
        raise _damaged(e) from None
    for kind, objects in sections.items():
        for key, value in objects.items():
            yield decoded(kind, key, encoder.encode(value))


def _objects(state: ClusterState, kind: RecordKind) -> Map[str, Stored]:
    return state.objects.get(kind, _NOTHING)


_NOTHING: Map[str, Stored] = Map()
