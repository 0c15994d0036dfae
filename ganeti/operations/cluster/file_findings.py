# SPDX-License-Identifier: BSD-2-Clause
"""Comparison of the files that master candidates share with those of the master.

A candidate that lacks one, or has an old one, could become a master that cannot do its work; a node
that is no candidate must not have keys and secrets of the cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from ganeti.model.node import Node
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.cluster.group_findings import GroupData
from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths
from ganeti.schema.types import Value

_MEND = "unless a job is already queued for this, run gnt-cluster redist-conf"


def own_file_findings(shared: Sequence[AncillaryFile], cluster: str) -> Iterator[Finding]:
    """Yield findings about files that the master itself lacks."""
    there = {file.path for file in shared}
    for path in Paths().shared_files:
        if path not in there:
            message = (
                f"the master lacks {path}; copy it from a master candidate, or create a new one"
            )
            yield Finding(Code.ECLUSTERFILECHECK, "cluster", cluster, message)


def file_findings(checked: GroupData, shared: Sequence[AncillaryFile]) -> Iterator[Finding]:
    """Yield findings about missing, different or unexpected files on nodes of a group."""
    expected = {file.path: hashlib.sha256(file.content).hexdigest() for file in shared}
    for node, found in checked.answers("filelist"):
        before = checked.facts.state or checked.state
        if node.uuid == checked.state.cluster.master_node or node != before.nodes.get(node.uuid):
            continue  # the master is the reference, and the role of a changed node is uncertain
        if not isinstance(found, Mapping):
            message = f"cannot check its copies of the cluster's files: {found}"
            yield Finding(Code.ENODEFILECHECK, "node", node.name, message)
            continue
        for message in _differences(node, found, expected):
            yield Finding(Code.ENODEFILECHECK, "node", node.name, message)


def _differences(
    node: Node, found: Mapping[str, Value], expected: Mapping[str, str]
) -> Iterator[str]:
    if not node.master_candidate:
        for path in sorted(found):
            yield f"has {path}, which is for master candidates only; remove it"
        return
    for path, digest in expected.items():
        if path not in found:
            yield f"lacks {path}, which every master candidate requires; {_MEND}"
        elif found[path] != digest:
            yield f"has a different {path} than the master; {_MEND}"
