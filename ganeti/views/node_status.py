# SPDX-License-Identifier: BSD-2-Clause
"""What the nodes last said, as far as views show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

from ganeti.model.guest import GuestState
from ganeti.model.node import Node
from ganeti.query.fields import FieldStatus


class StorageSpaceInfo(Protocol):
    """Space of one storage unit, in MiB."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def free(self) -> int: ...


class INodeInfo(Protocol):
    """What a node says of itself; memory in MiB."""

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
    """Whoever keeps what the nodes last said."""

    def facts(self, uuid: str, /) -> INodeInfo | None:
        """What the node of this UUID last said; None if nothing is known."""
        ...


Said: TypeAlias = INodeInfo | FieldStatus
"""What a node said, or why that is not known: offline or no data."""


@dataclass(frozen=True)
class NodeStatuses:
    """What is known of all nodes at one moment, by UUID."""

    said: Mapping[str, Said]

    @cached_property
    def homes(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes, by UUID, that each guest runs on, by its name."""
        found: dict[str, tuple[str, ...]] = {}
        for uuid, said in self.said.items():
            if not isinstance(said, FieldStatus):
                for name in said.guests:
                    found[name] = (*found.get(name, ()), uuid)
        return found

    def of(self, node: str) -> Said:
        """What the node of this UUID said."""
        return self.said.get(node, FieldStatus.NODATA)


class StatusObserver:
    """The present, as the same value for as long as nothing new was said."""

    def __init__(self, live: INodeStatus) -> None:
        self._live = live
        self._last = NodeStatuses({})

    def now(self, nodes: Mapping[str, Node]) -> NodeStatuses:
        """What is known of ``nodes``."""
        said = {uuid: self._said(node) for uuid, node in nodes.items()}
        last = self._last.said
        if len(said) != len(last) or any(last.get(uuid) is not each for uuid, each in said.items()):
            self._last = NodeStatuses(said)
        return self._last

    def _said(self, node: Node) -> Said:
        if node.offline:
            return FieldStatus.OFFLINE
        return self._live.facts(node.uuid) or FieldStatus.NODATA
