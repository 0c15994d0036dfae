# SPDX-License-Identifier: BSD-2-Clause
"""The last reported state of the nodes, as far as views use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.query.fields import FieldStatus


class StorageSpaceInfo(Protocol):
    """The space of a storage unit, in MiB."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def free(self) -> int: ...


class INodeInfo(Protocol):
    """The state that a node reports; memory in MiB."""

    @property
    def memory_total(self) -> int: ...
    @property
    def memory_free(self) -> int: ...
    @property
    def memory_node(self) -> int: ...
    @property
    def cpus(self) -> int: ...
    @property
    def cpu_nodes(self) -> int: ...
    @property
    def cpu_sockets(self) -> int: ...
    @property
    def cpus_node(self) -> int: ...
    @property
    def boot_id(self) -> str: ...
    @property
    def guests(self) -> Mapping[str, GuestState]: ...
    @property
    def storage(self) -> Sequence[StorageSpaceInfo]: ...


class INodeStatus(Protocol):
    """Stores the last reported state of the nodes."""

    def facts(self, uuid: str, /) -> INodeInfo | None:
        """Return the last reported state of the node with this UUID; None if unknown."""
        ...


Said: TypeAlias = INodeInfo | FieldStatus
"""The reported state of a node, or why it is unknown: offline or no data."""


@dataclass(frozen=True)
class NodeStatuses:
    """The state of all nodes at one moment, by UUID."""

    said: Mapping[str, Said]

    @cached_property
    def homes(self) -> Mapping[str, tuple[str, ...]]:
        """The UUIDs of the nodes on which each guest runs, by the guest's name."""
        found: dict[str, tuple[str, ...]] = {}
        for uuid, said in self.said.items():
            if not isinstance(said, FieldStatus):
                for name in said.guests:
                    found[name] = (*found.get(name, ()), uuid)
        return found

    def runs(self, name: str) -> bool:
        """Return whether a guest runs on any node."""
        if "homes" in self.__dict__:
            return name in self.homes
        # For a few guests, it takes longer to list all.
        return any(
            name in said.guests for said in self.said.values() if not isinstance(said, FieldStatus)
        )

    def status_of(self, node: str) -> Said:
        """Return the state of the node with this UUID."""
        return self.said.get(node, FieldStatus.NODATA)


class StatusCache:
    """Returns the same object as long as no node has reported anything new."""

    def __init__(self, live: INodeStatus) -> None:
        self._live = live
        self._last = NodeStatuses({})

    def now(self, nodes: Mapping[str, Node]) -> NodeStatuses:
        """Return the current state of ``nodes``."""
        said = {uuid: self._node_status(node) for uuid, node in nodes.items()}
        last = self._last.said
        if len(said) != len(last) or any(last.get(uuid) is not each for uuid, each in said.items()):
            self._last = NodeStatuses(said)
        return self._last

    def _node_status(self, node: Node) -> Said:
        if node.offline:
            return FieldStatus.OFFLINE
        return self._live.facts(node.uuid) or FieldStatus.NODATA
