# SPDX-License-Identifier: BSD-2-Clause
"""The certificates that the master accepts from nodes."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.model.access import NodeCertificates
from ganeti.model.node import Node
from ganeti.operations.member_list import list_issued_certificates


class AcceptedCertificates:
    """The certificates in the configuration, and the last ones of removed nodes.

    A removed node still receives the request to leave, when its certificate is no longer recorded.
    """

    def __init__(self, state: Callable[[], ClusterState]) -> None:
        self._state = state
        self._removed: dict[str, tuple[str, ...]] = {}

    def config_changed(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        """Update the certificates of removed and added nodes after a configuration change."""
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
        """Return whether the node ``name`` may present the certificate with this fingerprint."""
        return fingerprint in list_issued_certificates(
            self._state(), name
        ) or fingerprint in self._removed.get(name, ())
