# SPDX-License-Identifier: BSD-2-Clause
"""The file ``access.json``: the part of the configuration that ``config.data`` has no place for.

It belongs to the same checkpoint. It is written first: commits that ``config.data`` holds are not
replayed, so the objects here must never be older than the ones there; newer ones do no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from immutables import Map

from ganeti.config.records import decoded, encoder
from ganeti.config.state import ClusterState, RecordKind, Stored
from ganeti.errors import Invalid
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
}
"""Where the objects of each kind are in the file."""


def text(state: ClusterState) -> bytes:
    """Return the file for ``state``; equal states make equal bytes."""
    sections = {
        name: dict(sorted(_objects(state, kind).items())) for kind, name in SECTIONS.items()
    }
    return encoder.encode({"version": VERSION, **sections}) + b"\n"


def differs(state: ClusterState, before: ClusterState | None) -> bool:
    """Whether the file for ``state`` is another one than the one for the state ``before``."""
    return before is None or any(
        _objects(state, kind) is not _objects(before, kind) for kind in SECTIONS
    )


def restore(state: ClusterState, content: bytes | None) -> ClusterState:
    """Return ``state``, which is from ``config.data``, with what the file holds.

    Without a file there is none of it, as in a configuration that other software has written.

    :raises Invalid: the file is damaged.
    """
    if content is None:
        return state
    for record in _read(content):
        state = state.put(record)
    return state.settled()


def _read(content: bytes) -> Iterator[Stored]:
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
    except UNREADABLE as e:
        raise Invalid(
            f"{NAME} is damaged: {e}; copy it, with config.data and the journal, from another"
            " master candidate"
        ) from None
    if document.get("version") != VERSION:
        raise Invalid(f"{NAME} is of version {document.get('version')}, and not {VERSION}")
    for kind, name in SECTIONS.items():
        for key, value in document.get(name, {}).items():
            yield decoded(kind, key, encoder.encode(value))


def _objects(state: ClusterState, kind: RecordKind) -> Map[str, Stored]:
    return state.objects.get(kind, _NOTHING)


_NOTHING: Map[str, Stored] = Map()
