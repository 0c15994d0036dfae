# SPDX-License-Identifier: BSD-2-Clause
"""The file ``access.json``: objects of the configuration that ``config.data`` has no section for.

Both files belong to one checkpoint, and this one is written first: commits that ``config.data``
contains are not replayed, so the objects here must never be older. Newer ones do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from immutables import Map

from ganeti.config.record_codec import decoded, encoder
from ganeti.config.state import ClusterState, RecordKind, Stored
from ganeti.errors import Invalid
from ganeti.journal.interfaces import LATER_RELEASE
from ganeti.schema.documents import UNREADABLE

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


def text(state: ClusterState) -> bytes:
    """Return the content of the file for ``state``; equal states give equal bytes."""
    sections = {
        name: dict(sorted(_objects(state, kind).items())) for kind, name in SECTIONS.items()
    }
    return encoder.encode({"version": VERSION, **sections}) + b"\n"


def differs(state: ClusterState, before: ClusterState | None) -> bool:
    """Return whether the file differs between ``state`` and the state ``before``."""
    # A section that was not changed is the same object.
    return before is None or any(
        _objects(state, kind) is not _objects(before, kind) for kind in SECTIONS
    )


def restore(state: ClusterState, content: bytes | None) -> ClusterState:
    """Return ``state``, read from ``config.data``, with the objects of this file added.

    ``content`` is None if the file does not exist, as for a configuration of other software.

    :raises Invalid: the file is damaged, or has an unknown version.
    """
    if content is None:
        return state
    for record in _read(content):
        state = state.put(record)
    # These objects are part of the checkpoint, so that there is nothing to commit.
    return state.settled()


def _read(content: bytes) -> Iterator[Stored]:
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
        sections = {
            kind: msgspec.convert(document.get(name, {}), dict[str, Any])
            for kind, name in SECTIONS.items()
        }
    except UNREADABLE as e:
        raise Invalid(
            f"{NAME} is damaged: {e}; copy it, with config.data and the journal, from another"
            " master candidate"
        ) from None
    if document.get("version") != VERSION:
        raise Invalid(
            f"{NAME} has version {document.get('version')}, this software reads version {VERSION}:"
            f" {LATER_RELEASE}"
        )
    # Left out of the next checkpoint, they would be lost.
    if unknown := sorted(document.keys() - {"version", *SECTIONS.values()}):
        raise Invalid(f"{NAME} has unknown sections ({', '.join(unknown)}): {LATER_RELEASE}")
    for kind, objects in sections.items():
        for key, value in objects.items():
            yield decoded(kind, key, encoder.encode(value))


def _objects(state: ClusterState, kind: RecordKind) -> Map[str, Stored]:
    return state.objects.get(kind, _NOTHING)


_NOTHING: Map[str, Stored] = Map()
