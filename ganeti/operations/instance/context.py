# SPDX-License-Identifier: BSD-2-Clause
"""The instance that an opcode is about, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest, instance_lock, node_lock, request
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node


class AboutInstance(Protocol):
    """An opcode that names an instance."""

    @property
    def instance_name(self) -> str: ...

    @property
    def instance_uuid(self) -> str | None: ...


@dataclass(frozen=True)
class InstanceContext:
    """An instance with its disks and nodes, as they were when the plan was made."""

    instance: Instance
    disks: tuple[Disk, ...]
    primary: Node
    secondaries: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The primary node first."""
        return (self.primary, *self.secondaries)

    @property
    def locks(self) -> LockRequest:
        """The instance for oneself, its nodes together with others."""
        return request(
            exclusive=[instance_lock(self.instance.uuid)],
            shared=[node_lock(node.uuid) for node in self.nodes],
        )


def subject_of(op: AboutInstance, state: ClusterState) -> InstanceContext:
    """The instance that ``op`` names.

    :raises Refused: there is none.
    """
    instance = state.instance(op.instance_uuid or op.instance_name)
    return standing(instance, state)


def standing(instance: Instance, state: ClusterState) -> InstanceContext:
    """The instance with its disks and nodes."""
    return InstanceContext(
        instance,
        state.disks_of(instance),
        state.nodes[instance.primary_node],
        tuple(state.nodes[uuid] for uuid in state.secondaries_of(instance)),
    )


def require_online(node: Node, what: str) -> None:
    """Refuse what needs a node that is offline; ``what`` says what it is needed for.

    :raises Refused: the node is marked offline.
    """
    if node.offline:
        raise Refused(
            f"node {node.name} is offline, so {what}; "
            f"once it is back: gnt-node modify --offline=no {node.name}"
        )
