# SPDX-License-Identifier: BSD-2-Clause
"""What has happened on nodes, seen from what they said before and what they say now.

The first answer of each node only says how things are. Later ones are compared with it. A guest
that is not on its node any more may have stopped, crashed, or be on its way to another one: that is
decided when the other nodes were asked, and no job is at work on the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.config.state import RecordKind as Stored
from ganeti.errors import Failed
from ganeti.events.event import EventAction, EventKind
from ganeti.model.instance import Instance, Wanted
from ganeti.rpc.disks import DiskStatus
from ganeti.rpc.node import NodeInfo


@dataclass(frozen=True)
class Observation:
    """Something that was seen on a node; in no commit."""

    kind: EventKind
    action: EventAction
    name: str
    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Node:
    """What a node last said: its guests also while it does not answer."""

    guests: frozenset[str]
    boot_id: str
    reachable: bool


class NodeWatch:
    """Compares the answers of nodes.

    ``locked`` tells whether a job holds or wants the lock of an instance.
    """

    def __init__(
        self, state: Callable[[], ClusterState], locked: Callable[[Instance], bool]
    ) -> None:
        self._state = state
        self._locked = locked
        self._nodes: dict[str, _Node] = {}
        self._vanished: dict[str, str] = {}  # guest: node that it was on
        self._degraded: frozenset[str] | None = None  # disks

    @property
    def undecided(self) -> bool:
        """Whether some guest is gone, and it is not known yet where."""
        return bool(self._vanished)

    def answered(self, uuid: str, answer: NodeInfo | Failed) -> Iterator[Observation]:
        """Yield what an answer of a node says of what has happened there."""
        known = self._nodes.get(uuid)
        name = self._name(uuid)
        if name is None:
            self._nodes.pop(uuid, None)
            return
        if isinstance(answer, Failed):
            if known is None or known.reachable:
                before = known or _Node(frozenset(), "", True)
                self._nodes[uuid] = _Node(before.guests, before.boot_id, False)
                yield self._of_node(uuid, EventAction.UNREACHABLE, reason=str(answer))
            return
        guests = frozenset(answer.guests)
        self._nodes[uuid] = _Node(guests, answer.boot_id, True)
        if known is None:
            return
        if not known.reachable:
            yield self._of_node(uuid, EventAction.REACHABLE)
        if not known.boot_id:
            return  # it never answered before, so nothing is known of its guests
        if answer.boot_id != known.boot_id:
            yield self._of_node(uuid, EventAction.REBOOTED)
        for guest in sorted(known.guests - guests):
            if not self._elsewhere(guest, uuid):
                self._vanished[guest] = uuid
        for guest in sorted(guests - known.guests):
            yield from self._appeared(guest, uuid)

    def decide(self) -> Iterator[Observation]:
        """Yield what has become of guests that are gone; all nodes were asked since."""
        for guest, uuid in sorted(self._vanished.items()):
            instance = self._instance(guest)
            if instance is None:
                del self._vanished[guest]  # it was removed, which is an event by itself
            elif instance.admin_state is not Wanted.UP:
                del self._vanished[guest]
                yield self._of_guest(guest, EventAction.STOPPED, node=self._name(uuid))
            elif not self._locked(instance):
                del self._vanished[guest]
                yield self._of_guest(guest, EventAction.CRASHED, node=self._name(uuid))

    def forget(self, uuid: str) -> None:
        """Know nothing of a node any more, as it is not asked."""
        self._nodes.pop(uuid, None)

    def disks(self, answers: Mapping[str, DiskStatus | None]) -> Iterator[Observation]:
        """Yield which mirrored disks, by UUID, have lost their redundancy, or have it again."""
        degraded = frozenset(
            uuid for uuid, status in answers.items() if status is not None and status.degraded
        )
        before, self._degraded = self._degraded, degraded
        known = before if before is not None else frozenset[str]()
        for uuid in sorted(degraded - known):
            yield from self._of_disk(uuid, EventAction.DEGRADED)
        for uuid in sorted((known - degraded) & answers.keys()):
            yield from self._of_disk(uuid, EventAction.RECOVERED)
        self._degraded |= known - answers.keys()

    @property
    def degraded(self) -> int:
        """How many mirrored disks are degraded, as far as it is known."""
        disks = self._state().disks
        return sum(uuid in disks for uuid in self._degraded or ())

    # --- guests

    def _appeared(self, guest: str, uuid: str) -> Iterator[Observation]:
        node = self._name(uuid)
        before = self._vanished.pop(guest, None) or self._elsewhere(guest, uuid)
        if before is None:
            yield self._of_guest(guest, EventAction.STARTED, node=node)
        elif before == uuid:
            yield self._of_guest(guest, EventAction.REBOOTED, node=node)
        else:
            source = self._name(before)
            yield self._of_guest(guest, EventAction.MIGRATED, node=node, source=source)

    def _elsewhere(self, guest: str, uuid: str) -> str | None:
        """Return another node that the guest was last seen on."""
        for other, known in self._nodes.items():
            if other != uuid and guest in known.guests:
                return other
        return None

    # --- names

    def _name(self, uuid: str) -> str | None:
        node = self._state().nodes.get(uuid)
        return None if node is None else node.name

    def _instance(self, name: str) -> Instance | None:
        state = self._state()
        uuid = state.names.get((Stored.INSTANCE, name))
        return None if uuid is None else state.instances[uuid]

    def _of_node(self, uuid: str, action: EventAction, **details: Any) -> Observation:
        node = self._state().nodes[uuid]
        return Observation(EventKind.NODE, action, node.name, tags=node.tags, details=details)

    def _of_guest(self, name: str, action: EventAction, **details: Any) -> Observation:
        instance = self._instance(name)
        tags = instance.tags if instance is not None else ()
        return Observation(EventKind.INSTANCE, action, name, tags=tags, details=details)

    def _of_disk(self, uuid: str, action: EventAction) -> Iterator[Observation]:
        state = self._state()
        instance = state.instances.get(state.owners.get(uuid, ""))
        if instance is None:
            return
        details = {"uuid": uuid, "disk": state.disks[uuid].iv_name}
        yield Observation(
            EventKind.DISK, action, instance.name, (uuid,), tags=instance.tags, details=details
        )
