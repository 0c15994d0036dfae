# SPDX-License-Identifier: BSD-2-Clause
"""What the cluster has promised, from all that its masters acknowledged, and whether it holds.

The oracle looks at every process of a master from outside: at each job and each configuration that
it shows to clients. What must hold of votes and copies meanwhile is in ``replication``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ganeti.config.state import ClusterState, RecordEdit, RecordKind, Stored
from ganeti.errors import JobLost
from ganeti.jobs.job import Job, JobStatus, QueuedOpcode, encode
from ganeti.journal.segments import PositionNotFound
from ganeti.master.master import Master
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.rpc.wire import CallRequest
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.master_process import MasterProcess
from ganeti.testing.simulated_host import SimulatedHost
from ganeti.testing.wire import OPEN
from tests.simulation.replication import Replication


@dataclass
class Promised:
    """What was acknowledged until now, by the newest master."""

    jobs: dict[int, Job] = field(default_factory=dict)
    objects: dict[tuple[RecordKind, str], Stored | None] = field(default_factory=dict)
    serial: int = 0
    digests: dict[int, bytes] = field(default_factory=dict)


class Oracle:
    """Watches all masters and nodes of a cluster; ``violations`` are in the order of their time.

    ``begun`` is the newest term that has begun, with the host of its master.
    """

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.violations: list[str] = []
        self.promised = Promised()
        self.begun: tuple[int, str] = (0, "")
        self.acknowledgements = 0
        self._cluster = cluster
        self._watched: dict[MasterProcess, Master] = {}
        self._seen_to_begin: set[MasterProcess] = set()
        self._running: dict[SimulatedHost, Mapping[str, GuestState]] = {}
        self._wishes: dict[tuple[int, int], AdminState | None] = {}
        self.replication = Replication(
            cluster, self._violated, lambda: max(self.promised.digests, default=0)
        )
        cluster.watchers.append(self.look)
        cluster.switch.observe = self._asked
        self.look()

    def look(self) -> None:
        """See what has changed since the last look: called after each step of the simulation."""
        for process in self._cluster.processes:
            # One that adopts what other copies have makes its state anew.
            if self._watched.get(process) is not getattr(process, "master", None):
                self._watched[process] = process.master
                process.master.jobs.observe(partial(self._job_shown, process))
                process.master.config.observe(partial(self._state_shown, process))
            if process.begun and process not in self._seen_to_begin:
                self._seen_to_begin.add(process)
                self._has_begun(process)
        self.replication.look()
        self._look_at_guests()

    # --- guests

    def _look_at_guests(self) -> None:
        """See that a guest begins to run only where the configuration says that it is."""
        for host in self._cluster.hosts:
            running, before = host.guests.running(), self._running.get(host, {})
            if running is before:
                continue  # the hypervisor answers another mapping after each change
            self._running[host] = running
            for name in running.keys() - before.keys():
                primary = self._primary_of(name)
                if primary not in (None, host.name):
                    self._violated(f"{name} begins to run on {host.name}, and is on {primary}")

    def _primary_of(self, name: str) -> str | None:
        """Return the primary node of an instance, as it was acknowledged; None if there is none."""
        for record in self.promised.objects.values():
            if isinstance(record, Instance) and record.name == name:
                node = self.promised.objects.get((RecordKind.NODE, record.primary_node))
                return node.name if isinstance(node, Node) else None
        return None

    # --- masters

    def _has_begun(self, process: MasterProcess) -> None:
        term, name = process.term, process.host.name
        if term <= self.begun[0]:
            self._violated(f"{name} begins term {term} after {self.begun[1]} {self.begun[0]}")
        if not self.replication.may_vote(name, term):
            self._violated(f"{name} begins term {term}, and has no vote")
        self.begun = (term, name)
        for job in self.promised.jobs.values():
            self._compare_job(process, job)
        state = process.master.config.state()
        self._compare_state(process, state)
        self._compare_journal(process)
        self.promised.objects = dict(_objects(state))
        self.promised.serial = state.serial_no

    def _compare_job(self, process: MasterProcess, job: Job) -> None:
        who = self._who(process)
        try:
            found = process.master.queue.job(job.id)
        except JobLost:
            self._violated(f"{who} has lost job {job.id}, which was acknowledged")
            return
        if _identity(found) != _identity(job):
            self._violated(f"{who} has another job {job.id}: {found.summary} for {job.summary}")
        elif job.is_final and _result(found) != _result(job):
            self._violated(f"{who} has another result of job {job.id}, which had ended")

    def _compare_state(self, process: MasterProcess, state: ClusterState) -> None:
        who = self._who(process)
        if state.serial_no < self.promised.serial:
            self._violated(
                f"{who} begins with state {state.serial_no}, and {self.promised.serial} was"
                " acknowledged"
            )
        objects = dict(_objects(state))
        for (kind, key), promised in self.promised.objects.items():
            found = objects.get((kind, key))
            if not _may_follow(promised, found):
                what = getattr(promised or found, "name", key)
                self._violated(f"{who} has lost an acknowledged change of {kind.value} {what}")

    def _compare_journal(self, process: MasterProcess) -> None:
        journal, digests = process.master.journal, self.promised.digests
        if not digests:
            return
        last = max(digests)
        if journal.last_commit() < last:
            self._violated(
                f"{self._who(process)} lacks commits {journal.last_commit() + 1} to {last}"
            )
            return
        try:
            mark = journal.find_log_position(last)
        except (PositionNotFound, OSError):
            return  # a checkpoint has it by now, or the host has just lost its power
        if mark.digest != digests[last]:
            self._violated(f"{self._who(process)} has another commit {last} than acknowledged")

    def _job_shown(self, process: MasterProcess, job: Job) -> None:
        if not self._acknowledges(process):
            return
        known = self.promised.jobs.get(job.id)
        if known is not None and _identity(known) != _identity(job):
            self._violated(f"{self._who(process)} gives the number {job.id} out again")
        elif known is not None and known.is_final and _result(known) != _result(job):
            self._violated(f"{self._who(process)} changes the result of job {job.id}")
        self.promised.jobs[job.id] = job
        self._check_wishes(process, job)
        if known is None or known.start_timestamp is None:
            self._check_dependencies(process, job)

    def _check_dependencies(self, process: MasterProcess, job: Job) -> None:
        """See that a job which is picked is not ahead of those that it depends on."""
        if job.ops[0].status not in (JobStatus.WAITING, JobStatus.RUNNING, JobStatus.SUCCESS):
            return
        for other, _ in job.ops[0].opcode.depends or ():
            found = process.master.queue.find_job(int(other))
            if found is not None and not found.is_final:
                self._violated(f"{self._who(process)} begins job {job.id} before job {other} ends")

    def _check_wishes(self, process: MasterProcess, job: Job) -> None:
        """See that a job which could not stop an instance leaves recorded what it is to be."""
        state = process.master.config.state()
        for index, op in enumerate(job.ops):
            if not isinstance(op.opcode, ShutdownInstance):
                continue
            uuid = state.names.get((RecordKind.INSTANCE, op.opcode.instance_name))
            wanted = state.instances[uuid].admin_state if uuid else None
            before = self._wishes.pop((job.id, index), wanted)
            if op.status is JobStatus.RUNNING:
                self._wishes[job.id, index] = before
                continue
            failed = op.status is JobStatus.ERROR and not _broke_off(op)
            if failed and before != wanted and op.opcode.instance_name in self._cluster.running():
                self._violated(
                    f"{self._who(process)} has recorded {op.opcode.instance_name} as {wanted}, and"
                    f" job {job.id} could not stop it"
                )

    def _state_shown(
        self, process: MasterProcess, state: ClusterState, edits: tuple[RecordEdit, ...]
    ) -> None:
        if not self._acknowledges(process):
            return
        for edited in edits:
            self.promised.objects[edited.kind, edited.key] = edited.record
        self.promised.serial = state.serial_no

    def _acknowledges(self, process: MasterProcess) -> bool:
        """Note that a master shows something as durable; whether it may."""
        self.look()
        self.acknowledgements += 1
        if process.begun and process.term < self.begun[0]:
            term, name = self.begun
            self._violated(
                f"{self._who(process)} acknowledges something after {name} has begun term {term}"
            )
            return False
        self._note_mark(process)
        self.replication.acknowledged(process, process.master.journal.last_commit())
        return True

    def _note_mark(self, process: MasterProcess) -> None:
        journal, digests = process.master.journal, self.promised.digests
        end = journal.end_position()
        if end.position != journal.last_commit():
            return  # the end of what is acknowledged is in the midst of a group
        if digests.setdefault(end.position, end.digest) != end.digest:
            self._violated(f"{self._who(process)} acknowledges another commit {end.position}")

    def _who(self, process: MasterProcess) -> str:
        return f"master {process.host.name} of term {process.term}"

    # --- nodes

    def _asked(self, caller: str, node: str, request: CallRequest) -> Callable[[bytes], None]:
        accepted = self.replication.vote(node)

        def answered(answer: bytes) -> None:
            if request.name in OPEN or not answer.startswith(b"[true"):
                return
            self.replication.answered(node, request.name, answer)
            if request.term < accepted.term:
                self._violated(
                    f"{node} does {request.name} for {caller} in term {request.term}, although it"
                    f" has accepted {accepted.master} for term {accepted.term}"
                )
            elif request.term == accepted.term and caller != accepted.master:
                self._violated(
                    f"{node} does {request.name} for {caller}, although {accepted.master} is the"
                    f" master of term {accepted.term}"
                )
            elif 0 < self.replication.vote(node).term < request.term:
                # One that is leaving has none on its disk any more, and ends.
                self._violated(
                    f"{node} does {request.name} for {caller} in term {request.term}, which it has"
                    " not accepted on its disk"
                )

        return answered

    def _violated(self, what: str) -> None:
        after = self._cluster.clock.seconds() - self._cluster.began
        text = f"after {after:.3f} s {what}"
        if len(self.violations) < 20:
            self.violations.append(text)


def _broke_off(op: QueuedOpcode) -> bool:
    """Whether an opcode says itself that it has not been taken back as a whole."""
    said = f"{op.result} {op.log}"
    return "could not restore the recorded state" in said or "the master daemon" in said


def _identity(job: Job) -> Any:
    """Return what makes it this job and not another one of the same number."""
    return job.received_timestamp, tuple(op.opcode for op in job.ops)


def _result(job: Job) -> bytes:
    return encode(job.without_logs())


def _objects(state: ClusterState) -> Any:
    for kind, records in state.objects.items():
        for key, record in records.items():
            yield (kind, key), record


def _may_follow(promised: Stored | None, found: Stored | None) -> bool:
    """Whether an object may have become another one by changes whose outcome nobody was told."""
    if promised is None or found is None:
        # A deletion that nobody was told of may be found later, but nothing comes back.
        return found is None
    if promised == found:
        return True
    return getattr(found, "serial_no", 1) > getattr(promised, "serial_no", 0)
