# SPDX-License-Identifier: BSD-2-Clause
"""Which certificates nodes may show to the master."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.state import ClusterState, EditedState, RecordKind
from ganeti.model.access import NodeCertificates
from ganeti.model.node import Node
from ganeti.operations.member_list import issued_to


class AcceptedCertificates:
    """Those of the configuration, and the last ones of nodes that were removed from it.

    A node that was removed is still told to leave, and no certificate is recorded for it by then.
    """

    def __init__(self, state: Callable[[], ClusterState]) -> None:
        self._state = state
        self._removed: dict[str, tuple[str, ...]] = {}

    def changed(self, state: ClusterState, edits: tuple[EditedState, ...]) -> None:
        """The configuration has changed; nodes may have been removed or added."""
        certificates = {
            edit.key: edit.old.fingerprints
            for edit in edits
            if edit.record is None and isinstance(edit.old, NodeCertificates)
        }
        for edit in edits:
            if edit.kind is not RecordKind.NODE:
                continue
            if edit.record is None and isinstance(edit.old, Node):
                self._removed[edit.old.name] = certificates.get(edit.key, ())
            elif isinstance(edit.record, Node):
                self._removed.pop(edit.record.name, None)

    def accepts(self, name: str, fingerprint: str) -> bool:
        """Whether the node ``name`` may show the certificate with this fingerprint."""
        return fingerprint in issued_to(self._state(), name) or fingerprint in self._removed.get(
            name, ()
        )
