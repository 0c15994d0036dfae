# SPDX-License-Identifier: BSD-2-Clause
"""The instance of an opcode, with its disks and nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest, instance_lock, node_lock, request
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node


class InstanceOpcode(Protocol):
    """An opcode that names an instance."""

    @property
    def instance_name(self) -> str: ...

    @property
    def instance_uuid(self) -> str | None: ...


@dataclass(frozen=True)
class InstanceContext:
    """An instance with its disks and nodes, from the state that a plan is made from."""

    instance: Instance
    disks: tuple[Disk, ...]
    primary: Node
    secondaries: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the instance, the primary first."""
        return (self.primary, *self.secondaries)

    @property
    def locks(self) -> LockRequest:
        """An exclusive lock of the instance, and shared locks of its nodes."""
        return request(
            exclusive=[instance_lock(self.instance.uuid)],
            shared=[node_lock(node.uuid) for node in self.nodes],
        )


def subject_of(
    op: InstanceOpcode, state: ClusterState, *, reserved: bool = False
) -> InstanceContext:
    """Return the context of the instance that ``op`` names; with ``reserved``, it need not exist.

    :raises Refused: the instance is unknown, or only reserved.
    """
    instance = state.instance(op.instance_uuid or op.instance_name)
    if not reserved:
        check_exists(instance)
    return standing(instance, state)


def check_exists(instance: Instance) -> None:
    """Check that an instance is not only reserved.

    :raises Refused: nothing of it exists yet.
    """
    if instance.forthcoming:
        raise Refused(format_reserved(instance))


def format_reserved(instance: Instance) -> str:
    """Return why nothing can be done with a reserved instance, and what to do."""
    return (
        f"instance {instance.name} is only reserved (forthcoming), and nothing of it exists"
        f" yet; create it first (gnt-instance add --commit {instance.name}), or remove it"
    )


def standing(instance: Instance, state: ClusterState) -> InstanceContext:
    """Return the context of an instance."""
    return InstanceContext(
        instance,
        state.get_disks(instance),
        state.nodes[instance.primary_node],
        tuple(state.nodes[uuid] for uuid in state.get_secondaries(instance)),
    )


def check_online(node: Node, what: str) -> None:
    """Check that a node is online; ``what`` is the consequence for the message.

    :raises Refused: the node is marked offline.
    """
    if node.offline:
        raise Refused(
            f"node {node.name} is offline, so {what}; "
            f"when it is back: gnt-node modify --offline=no {node.name}"
        )
