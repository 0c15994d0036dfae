# SPDX-License-Identifier: BSD-2-Clause
"""Nodes: the hosts of the cluster."""

from __future__ import annotations

import enum

from ganeti.model.named import TaggedObject
from ganeti.schema.types import Line, Parameters


class NodeRole(enum.StrEnum):
    """The role of a node, as the remote API names it."""

    MASTER = "master"
    CANDIDATE = "master-candidate"
    DRAINED = "drained"
    OFFLINE = "offline"
    REGULAR = "regular"


ROLE_LETTERS = {
    NodeRole.MASTER: "M",
    NodeRole.CANDIDATE: "C",
    NodeRole.DRAINED: "D",
    NodeRole.OFFLINE: "O",
    NodeRole.REGULAR: "R",
}


class Node(TaggedObject, omit_defaults=True):
    """A host; ``group`` is the UUID of its node group."""

    name: Line
    primary_ip: Line
    secondary_ip: Line
    master_candidate: bool
    offline: bool
    drained: bool
    group: Line
    master_capable: bool
    vm_capable: bool
    ndparams: Parameters
    powered: bool
    hv_state_static: Parameters | None = None
    disk_state_static: Parameters | None = None

    def role(self, master: str) -> NodeRole:
        """Return the node's role, given the UUID of the master node."""
        if self.uuid == master:
            return NodeRole.MASTER
        if self.offline:
            return NodeRole.OFFLINE
        if self.drained:
            return NodeRole.DRAINED
        return NodeRole.CANDIDATE if self.master_candidate else NodeRole.REGULAR
