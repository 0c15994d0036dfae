# SPDX-License-Identifier: BSD-2-Clause
"""End the calls that wait for nodes which are marked offline or leave the cluster."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.state import ClusterState, EditedState, RecordKind
from ganeti.model.node import Node


def end_calls_to_absent_nodes(
    give_up: Callable[[str, str], None],
) -> Callable[[ClusterState, tuple[EditedState, ...]], None]:
    """Return an observer of the configuration that gives up nodes, by UUID, and says why."""

    def observe(state: ClusterState, edits: tuple[EditedState, ...]) -> None:
        for edit in edits:
            if edit.kind is not RecordKind.NODE or not isinstance(edit.old, Node):
                continue
            if edit.record is None:
                give_up(edit.key, "it has left the cluster")
            # Only at the change: a node that is to come back is asked before it is marked so.
            elif isinstance(edit.record, Node) and edit.record.offline and not edit.old.offline:
                give_up(edit.key, "it was marked offline")

    return observe
