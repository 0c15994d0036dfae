# SPDX-License-Identifier: BSD-2-Clause
"""Detection of events on nodes, from the differences between consecutive answers.

The first answer of each node is the baseline. A guest that has left its node may have stopped,
crashed, or migrated; this is decided when all other nodes have answered and no job holds the lock
of the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ganeti.config.state import ClusterState
from ganeti.config.state import RecordKind as Stored
from ganeti.errors import Failed
from ganeti.events.event import EventAction, EventKind
from ganeti.model.instance import AdminState, Instance
from ganeti.rpc.disks import DiskStatus
from ganeti.rpc.node import NodeInfo

MEMORY_CHANGE = 0.1
"""By which share of a node's memory its free memory must have changed to be reported."""


@dataclass(frozen=True)
class Observation:
    """A change that was observed on a node and belongs to no commit."""

    kind: EventKind
    action: EventAction
    name: str
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass
class _Node:
    """The last answer of a node; its guests are kept while it does not answer.

    ``memory_free`` is what was reported last, in MiB.
    """

    guests: frozenset[str]
    boot_id: str
    reachable: bool
    memory_free: int = 0


class NodeWatch:
    """Compares consecutive answers of nodes.

    ``locked`` returns whether a job holds or requests the lock of an instance.
    """

    def __init__(
        self, state: Callable[[], ClusterState], locked: Callable[[Instance], bool]
    ) -> None:
        self._state = state
        self._locked = locked
        self._nodes: dict[str, _Node] = {}
        self._vanished: dict[str, str] = {}  # guest: UUID of its last node
        self._degraded: frozenset[str] | None = None  # UUIDs of disks

    @property
    def undecided(self) -> bool:
        """Whether a guest has vanished and its new state is not known yet."""
        return bool(self._vanished)

    def answered(self, uuid: str, answer: NodeInfo | Failed) -> Iterator[Observation]:
        """Yield the changes between the last and a new answer of a node."""
        known = self._nodes.get(uuid)
        name = self._node_name(uuid)
        if name is None:
            self._nodes.pop(uuid, None)
            return
        if isinstance(answer, Failed):
            if known is None or known.reachable:
                before = known or _Node(frozenset(), "", True)
                self._nodes[uuid] = replace(before, reachable=False)
                yield self._observe_node(uuid, EventAction.UNREACHABLE, reason=str(answer))
            return
        guests = frozenset(answer.guests)
        self._nodes[uuid] = now = _Node(guests, answer.boot_id, True, answer.memory_free)
        if known is None:
            return
        if not known.reachable:
            yield self._observe_node(uuid, EventAction.REACHABLE)
        if not known.boot_id:
            return  # the first answer: there is nothing to compare its guests with
        if answer.boot_id != known.boot_id:
            yield self._observe_node(uuid, EventAction.REBOOTED)
        if abs(answer.memory_free - known.memory_free) >= answer.memory_total * MEMORY_CHANGE:
            memory = {"memory_free": answer.memory_free, "memory_total": answer.memory_total}
            yield self._observe_node(uuid, EventAction.MEMORY, **memory)
        else:
            # Compared with the last report, so that slow changes add up.
            now.memory_free = known.memory_free
        for guest in sorted(known.guests - guests):
            # Otherwise it has moved, and was seen on its new node first.
            if not self._find_other_node(guest, uuid):
                self._vanished[guest] = uuid
        for guest in sorted(guests - known.guests):
            yield from self._compare_new_guest(guest, uuid)

    def classify_vanished(self) -> Iterator[Observation]:
        """Yield what happened to vanished guests; call after all nodes were queried again."""
        for guest, uuid in sorted(self._vanished.items()):
            instance = self._instance(guest)
            if instance is None:
                del self._vanished[guest]  # its removal is an event already
            elif instance.admin_state is not AdminState.UP:
                del self._vanished[guest]
                yield self._observe_guest(guest, EventAction.STOPPED, node=self._node_name(uuid))
            elif not self._locked(instance):
                del self._vanished[guest]
                yield self._observe_guest(guest, EventAction.CRASHED, node=self._node_name(uuid))

    def drop_answer(self, uuid: str) -> None:
        """Forget the last answer of a node that is not polled."""
        self._nodes.pop(uuid, None)

    def disks(self, answers: Mapping[str, DiskStatus | None]) -> Iterator[Observation]:
        """Yield the mirrored disks, by UUID, that have lost or regained their redundancy."""
        degraded = frozenset(
            uuid for uuid, status in answers.items() if status is not None and status.degraded
        )
        before, self._degraded = self._degraded, degraded
        known = before if before is not None else frozenset[str]()
        for uuid in sorted(degraded - known):
            yield from self._observe_disk(uuid, EventAction.DEGRADED)
        for uuid in sorted((known - degraded) & answers.keys()):
            yield from self._observe_disk(uuid, EventAction.RECOVERED)
        # A disk without an answer is as it was.
        self._degraded |= known - answers.keys()

    @property
    def degraded(self) -> int:
        """The number of mirrored disks known to be degraded."""
        disks = self._state().disks
        return sum(uuid in disks for uuid in self._degraded or ())

    # --- guests

    def _compare_new_guest(self, guest: str, uuid: str) -> Iterator[Observation]:
        node = self._node_name(uuid)
        before = self._vanished.pop(guest, None) or self._find_other_node(guest, uuid)
        if before is None:
            yield self._observe_guest(guest, EventAction.STARTED, node=node)
        elif before == uuid:
            yield self._observe_guest(guest, EventAction.REBOOTED, node=node)
        else:
            source = self._node_name(before)
            yield self._observe_guest(guest, EventAction.MIGRATED, node=node, source=source)

    def _find_other_node(self, guest: str, uuid: str) -> str | None:
        """Return another node on which the guest was last observed."""
        for other, known in self._nodes.items():
            if other != uuid and guest in known.guests:
                return other
        return None

    # --- names

    def _node_name(self, uuid: str) -> str | None:
        node = self._state().nodes.get(uuid)
        return None if node is None else node.name

    def _instance(self, name: str) -> Instance | None:
        state = self._state()
        uuid = state.names.get((Stored.INSTANCE, name))
        return None if uuid is None else state.instances[uuid]

    def _observe_node(self, uuid: str, action: EventAction, **details: object) -> Observation:
        node = self._state().nodes[uuid]
        return Observation(EventKind.NODE, action, node.name, tags=node.tags, details=details)

    def _observe_guest(self, name: str, action: EventAction, **details: object) -> Observation:
        instance = self._instance(name)
        tags = instance.tags if instance is not None else ()
        return Observation(EventKind.INSTANCE, action, name, tags=tags, details=details)

    def _observe_disk(self, uuid: str, action: EventAction) -> Iterator[Observation]:
        state = self._state()
        instance = state.instances.get(state.owners.get(uuid, ""))
        if instance is None:
            return
        details = {"uuid": uuid, "disk": state.disks[uuid].iv_name}
        yield Observation(
            EventKind.DISK, action, instance.name, (uuid,), tags=instance.tags, details=details
        )
