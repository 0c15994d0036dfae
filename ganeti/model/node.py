# SPDX-License-Identifier: BSD-2-Clause
"""Nodes: the hosts that instances run on."""

from __future__ import annotations

import enum

from ganeti.model.named import TaggedObject
from ganeti.schema.types import Line, Parameters


class Role(enum.StrEnum):
    """What a node is to its cluster, in the words of the remote API."""

    MASTER = "master"
    CANDIDATE = "master-candidate"
    DRAINED = "drained"
    OFFLINE = "offline"
    REGULAR = "regular"


ROLE_LETTERS = {
    Role.MASTER: "M",
    Role.CANDIDATE: "C",
    Role.DRAINED: "D",
    Role.OFFLINE: "O",
    Role.REGULAR: "R",
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

    def role(self, master: str) -> Role:
        """What the node is when ``master`` is the UUID of the master node."""
        if self.uuid == master:
            return Role.MASTER
        if self.offline:
            return Role.OFFLINE
        if self.drained:
            return Role.DRAINED
        return Role.CANDIDATE if self.master_candidate else Role.REGULAR
