# SPDX-License-Identifier: BSD-2-Clause
"""Cancellation of calls to nodes that are marked offline or removed."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.model.node import Node


def end_calls_to_absent_nodes(
    give_up: Callable[[str, str], None],
) -> Callable[[ClusterState, tuple[RecordEdit, ...]], None]:
    """Return an observer of the configuration; it calls ``give_up`` with UUID and reason."""

    def observe(state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        for edit in edits:
            if edit.kind is not RecordKind.NODE or not isinstance(edit.old, Node):
                continue
            if edit.record is None:
                give_up(edit.key, "it has left the cluster")
            # Only at the change itself: a node is also called before its offline mark is cleared.
            elif isinstance(edit.record, Node) and edit.record.offline and not edit.old.offline:
                give_up(edit.key, "it was marked offline")

    return observe
