# SPDX-License-Identifier: BSD-2-Clause
"""Replay of journal commits to rebuild the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from immutables import Map

from ganeti.config.record_codec import META_KIND, decoded, decoded_meta
from ganeti.config.state import ClusterState, RecordKind
from ganeti.journal.interfaces import Delete, Edit, Put
from ganeti.schema.records import replace

_KINDS: Mapping[str, RecordKind] = {kind.value: kind for kind in RecordKind}


def apply(state: ClusterState, edits: Sequence[Edit]) -> ClusterState:
    """Return the state after a commit with these edits, identical to the original one.

    Edits of other kinds are ignored, and so are commits that ``state``, from a later checkpoint,
    already contains. So a journal can be replayed from any earlier position.

    :raises Invalid: a record does not have the form that this version writes.
    """
    metas = [edit for edit in edits if isinstance(edit, Put) and edit.kind == META_KIND]
    if not metas:
        return state
    meta = decoded_meta(metas[-1].value)
    if meta.serial_no <= state.serial_no:
        return state
    for edit in edits:
        if edit.kind in _KINDS:
            state = _apply_edit(state, _KINDS[edit.kind], edit)
    return replace(state, edits=(), serial_no=meta.serial_no, ctime=meta.ctime, mtime=meta.mtime)


def _apply_edit(state: ClusterState, kind: RecordKind, edit: Edit) -> ClusterState:
    if isinstance(edit, Put):
        return state.put(decoded(kind, edit.key, edit.value))
    if isinstance(edit, Delete):
        record = state.objects.get(kind, Map()).get(edit.key)
        return state.remove(record) if record else state
    return state
