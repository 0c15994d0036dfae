# SPDX-License-Identifier: BSD-2-Clause
"""The cluster as a caller sees it whose role is limited to some instances.

There is a state with what the caller may see and nothing else, and all questions are answered from
that state as they are from the whole one: what is not in it is in no list, count, filter or error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from ganeti.access.permissions import ON_INSTANCE
from ganeti.access.rights import Rights
from ganeti.config.state import ClusterState, Stored, make_state
from ganeti.config.state import RecordKind as StateKind
from ganeti.errors import Invalid
from ganeti.events.event import Event, EventAction, EventKind, make_event
from ganeti.jobs.job import Job
from ganeti.jobs.queue import Queue
from ganeti.model.instance import Instance
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace

MAX_SEEN = 100_000
"""How many instances a view remembers to have shown, so as to tell that they are gone."""


class View:
    """What callers with certain rights see of the cluster."""

    def __init__(self, rights: Rights, state: Callable[[], ClusterState], queue: Queue) -> None:
        self.rights = rights
        self._whole = state
        self._queue = queue
        self._seen_state: ClusterState | None = None
        self._state: ClusterState | None = None
        self._seen: dict[str, str] = {}

    def state(self) -> ClusterState:
        """The state as it is now, as far as it may be seen."""
        whole = self._whole()
        if self._state is None or whole is not self._seen_state:
            self._seen_state, self._state = whole, visible_state(whole, self.rights)
            self._seen.update({i.uuid: i.name for i in self._state.instances.values()})
            while len(self._seen) > MAX_SEEN:
                del self._seen[next(iter(self._seen))]
        return self._state

    # --- jobs, as the questions ask for them

    @property
    def drained(self) -> bool:
        return self._queue.drained

    def jobs(self) -> list[Job]:
        """The jobs that may be seen, oldest first."""
        return [job for job in self._queue.jobs() if self.shows_job(job)]

    def find_job(self, job_id: int) -> Job | None:
        """A job that is not archived and may be seen."""
        job = self._queue.find_job(job_id)
        return job if job is not None and self.shows_job(job) else None

    def archived(self, job_id: int) -> Job | None:
        """A job of the archive that may be seen."""
        job = self._queue.archived(job_id)
        return job if job is not None and self.shows_job(job) else None

    def shows_job(self, job: Job) -> bool:
        """Whether a job may be seen: whether it is about nothing but instances in scope.

        Not by who has submitted it: what a token sees is narrower than what its user does.
        """
        if not _is_understood(job):
            return False
        subjects = [self._subject(op.opcode) for op in job.ops]
        received = (job.received_timestamp or (0, 0))[0]
        # An older job was about another instance, which had the same name.
        return bool(subjects) and all(
            each is not None and received >= int(each.ctime) for each in subjects
        )

    def _subject(self, opcode: Opcode) -> Instance | None:
        """The instance that an opcode is about; None if it is about anything else, too."""
        name = subject_of(opcode)
        return None if name is None else self.state().search_instance(name)

    # --- events

    def events(self, events: Sequence[Event]) -> list[Event]:
        """Return what may be seen of events."""
        found = (self._event(event) for event in events)
        return [event for event in found if event is not None]

    def _event(self, event: Event) -> Event | None:
        state = self.state()
        if event.kind == EventKind.JOB:
            job_id = event.names[0] if event.names else ""
            return event if job_id.isdigit() and self.find_job(int(job_id)) else None
        if event.kind not in (EventKind.INSTANCE, EventKind.DISK) or not event.names:
            return None
        uuid = _header(event.data).uuid
        if event.kind == EventKind.DISK:
            return event if state.knows(StateKind.INSTANCE, event.names[0]) else None
        if uuid is None:  # seen on nodes: about the instance that has the name now
            return event if state.knows(StateKind.INSTANCE, event.names[0]) else None
        if uuid in state.instances:
            return event
        if uuid not in self._seen:
            return None
        # It is gone, or not in the scope any more, which is the same to the caller.
        return make_event(
            event.cursor,
            at=_header(event.data).at,
            kind=EventKind.INSTANCE,
            action=EventAction.REMOVED,
            name=self._seen.pop(uuid),
            uuid=uuid,
        )


class _Header(msgspec.Struct):
    at: float
    uuid: str | None = None


_header = msgspec.json.Decoder(_Header).decode


def subject_of(opcode: Opcode) -> str | None:
    """Return the name or UUID of the one instance that an opcode is about; None if of none."""
    declared = ON_INSTANCE.get(opcode.op_id)
    if declared is None or getattr(opcode, "kind", "instance") != "instance":
        return None
    for field in (declared.uuid, declared.name):
        match getattr(opcode, field):
            case str(name) if name:
                return name
            case (str(name),):
                return name
    return None


def visible_state(state: ClusterState, rights: Rights) -> ClusterState:
    """Return the part of a state that may be seen with ``rights``."""
    return make_state(
        _visible(state, rights), serial_no=state.serial_no, ctime=state.ctime, mtime=state.mtime
    )


def _visible(state: ClusterState, rights: Rights) -> Iterator[Stored]:
    yield replace(state.cluster, tags=())
    # The cluster record refers to its master.
    nodes, networks, groups = {state.cluster.master_node}, set(), set()
    for instance in rights.visible(state):
        yield instance
        nodes |= {instance.primary_node, *state.get_secondaries(instance)}
        networks |= {nic.network for nic in instance.nics if nic.network}
        for uuid in instance.disks:
            if uuid in state.disks:
                yield state.disks[uuid]
                nodes |= set(state.disks[uuid].nodes)
    for uuid in nodes & set(state.nodes):
        node = state.nodes[uuid]
        groups.add(node.group)
        yield replace(node, tags=())
    networks &= set(state.networks)
    for uuid in groups & set(state.groups):
        group = state.groups[uuid]
        kept = {key: each for key, each in group.networks.items() if key in networks}
        yield replace(group, tags=(), networks=kept)
    for uuid in networks:
        yield replace(state.networks[uuid], tags=())


def _is_understood(job: Job) -> bool:
    try:
        for op in job.ops:
            _ = op.opcode
    except Invalid:  # of another version
        return False
    return True
