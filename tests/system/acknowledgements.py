# SPDX-License-Identifier: BSD-2-Clause
"""What masters acknowledge: clients that ask for changes all the time, and what they were promised.

Each name (of a tag, of an instance) is added once and removed at most once, so that what must be
there afterwards follows from the acknowledgements alone, in whatever order they came.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ganeti.errors import GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryInstances, QueryJobs, QueryTags, SubmitJob, WaitForJobChange
from ganeti.luxi.unreachable import MasterNotRunning, NoAnswer
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.opcodes.instance.lifecycle import RemoveInstance, ShutdownInstance, StartInstance
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, RemoveTags, TagKind
from ganeti.opcodes.test import Delay
from tests.system.partitions import PartitionedCluster
from tests.system.running import TIMEOUT, eventually
from tools.quickstart.orders import FINAL

CLIENTS = 3
"""How many clients ask the master of one node."""

CLIENT_INTERVAL = 0.05
"""Seconds between the jobs of one client."""

CLIENT_TIMEOUT = 5.0
"""Seconds that a client waits for an acknowledgement, and for the end of its job."""

PULSE_INTERVAL = 0.1
"""Seconds between the jobs of the client of each node that waits for no job's end."""

KEPT = 10
"""How many tags and instances of its own a client leaves there."""

_BATCH = 5000
"""How many jobs are asked for at once."""


@dataclass
class Acknowledged:
    """A job that the master on ``node`` has taken; ``succeeded`` if a client saw that."""

    job: int
    node: int
    opcode: Opcode
    sent: float
    answered: float
    succeeded: bool = False


@dataclass
class Ledger:
    """All that clients were promised, and what they asked for without an answer."""

    jobs: list[Acknowledged] = field(default_factory=list)
    unanswered: list[Opcode] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def acknowledged_since(self, moment: float) -> bool:
        """Whether a job that was sent after a moment was acknowledged."""
        # Clients append in the order of the answers, so the newest are last.
        return any(each.sent > moment for each in self.jobs[-20:])

    def longest_gap(self, since: float, until: float) -> float:
        """Return the longest time without an acknowledgement between two moments."""
        moments = sorted(each.answered for each in self.jobs if since <= each.answered <= until)
        edges = (since, *moments, until)
        return max(after - before for before, after in itertools.pairwise(edges))


def submit(
    client: LuxiClient,
    number: int,
    opcode: Opcode,
    ledger: Ledger,
    timeout: float = CLIENT_TIMEOUT,
) -> Acknowledged | None:
    """Ask the master on a node for a job, and note what becomes of it within ``timeout``."""
    sent = time.monotonic()
    try:
        job = client.ask(SubmitJob(ops=(opcode,)))
    except MasterNotRunning:
        return None
    except NoAnswer:
        ledger.unanswered.append(opcode)
        return None
    except GanetiError as e:
        ledger.refused[str(e)] += 1
        return None
    taken = Acknowledged(job, number, opcode, sent, time.monotonic())
    ledger.jobs.append(taken)
    with suppress(GanetiError):
        taken.succeeded = _status(client, job, timeout) == "success"
    return taken


def _status(client: LuxiClient, job: int, timeout: float) -> str:
    """Return the status of a job at its end, or as it is after ``timeout`` seconds."""
    known, until = None, time.monotonic() + timeout
    while (left := until - time.monotonic()) > 0:
        change = WaitForJobChange(
            job_id=job, fields=("status",), prev_job_info=known, timeout=min(1.0, left)
        )
        if (answer := client.ask(change)) is None:
            return "unknown"
        if answer == "nochange":
            continue
        known = answer[0]
        if known[0] in FINAL:
            break
    return str(known[0]) if known else "unknown"


class Clients:
    """Clients of every node, which ask the master there, if there is one, for changes.

    One more of each node asks for jobs that do nothing and waits for none to end, so that the time
    without an acknowledgement is not that of the jobs.
    """

    def __init__(
        self, cluster: PartitionedCluster, ledger: Ledger, seed: int, moving: Sequence[str] = ()
    ) -> None:
        """``moving`` are instances that may be started, stopped and migrated."""
        self._cluster = cluster
        self._ledger = ledger
        self._moving = tuple(moving)
        self._over = threading.Event()
        self._turns: list[threading.Lock] = []
        self._threads: list[threading.Thread] = []
        for number in cluster.numbers:
            self._add(number, PULSE_INTERVAL, self._pulse)
            for client in range(CLIENTS):
                wishes = _Wishes(f"{seed}-{number}-{client}")
                self._add(number, CLIENT_INTERVAL, partial(self._change, wishes))

    def _add(self, number: int, interval: float, ask: Callable[[int, LuxiClient], None]) -> None:
        """Add a client of a node, which does ``ask`` again and again."""
        turn = threading.Lock()
        self._turns.append(turn)
        self._threads.append(
            threading.Thread(target=self._repeat, args=(number, interval, turn, ask))
        )

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no client be in the middle of anything as long as the block lasts."""
        with ExitStack() as turns:
            for turn in self._turns:
                turns.enter_context(turn)
            yield

    def _repeat(
        self,
        number: int,
        interval: float,
        turn: threading.Lock,
        ask: Callable[[int, LuxiClient], None],
    ) -> None:
        while not self._over.wait(interval):
            # A connection for each job: one that a paused master leaves must not block.
            with turn, self._cluster.client(number, CLIENT_TIMEOUT) as client:
                if self._cluster.runs(number, "masterd"):
                    ask(number, client)

    def _pulse(self, number: int, client: LuxiClient) -> None:
        submit(client, number, Delay(duration=0.0), self._ledger, timeout=0.0)

    def _change(self, wishes: _Wishes, number: int, client: LuxiClient) -> None:
        taken = submit(client, number, wishes.next(self._moving), self._ledger)
        if taken is not None and taken.succeeded:
            wishes.succeeded(taken.opcode)


class _Wishes:
    """What one client asks for, in turn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._chance = random.Random(name)
        self._count = itertools.count()
        self._there: deque[Opcode] = deque()

    def next(self, moving: Sequence[str]) -> Opcode:
        if len(self._there) > KEPT:
            return _removal(self._there.popleft())
        name = f"{self._name}-{next(self._count)}"
        match self._chance.randrange(10):
            case 0:
                return a_diskless_instance(f"made-{name}")
            case 1 | 2 if moving:
                return _move(self._chance, self._chance.choice(moving))
            case _:
                return a_tag(name)

    def succeeded(self, opcode: Opcode) -> None:
        """Remember what is there now."""
        if isinstance(opcode, (AddTags, CreateInstance)):
            self._there.append(opcode)


def a_tag(name: str) -> AddTags:
    return AddTags(kind=TagKind.CLUSTER, tags=(name,))


def a_diskless_instance(name: str) -> CreateInstance:
    """An instance of which only the record counts; it is not started."""
    return _an_instance(name, Template.DISKLESS, start=False, no_install=True)


def a_shared_instance(name: str, node: str) -> CreateInstance:
    """An instance that runs, and can run on every node."""
    disks = ({"size": 16},)
    return _an_instance(name, Template.SHAREDFILE, disks=disks, pnode=node)


def _an_instance(name: str, template: Template, **more: Any) -> CreateInstance:
    every: dict[str, Any] = {
        "disks": (),
        "nics": (),
        "beparams": {"memory": 16},
        "os_type": "noop",
        "name_check": False,
        "ip_check": False,
    }
    return CreateInstance(
        instance_name=name, mode=CreationMode.CREATE, disk_template=template, **{**every, **more}
    )


def _removal(opcode: Opcode) -> Opcode:
    if isinstance(opcode, AddTags):
        return RemoveTags(kind=opcode.kind, tags=opcode.tags)
    assert isinstance(opcode, CreateInstance)
    return RemoveInstance(instance_name=opcode.instance_name)


def _move(chance: random.Random, instance: str) -> Opcode:
    match chance.randrange(6):
        case 0:
            return ShutdownInstance(instance_name=instance, timeout=5)
        case 1 | 2:
            return StartInstance(instance_name=instance)
        case 3:
            return FailoverInstance(instance_name=instance)
        case _:
            return MigrateInstance(instance_name=instance)


# --- what must be there


@dataclass(frozen=True)
class Found:
    """What a master knows: status and first opcode of jobs by number, and the names in its state.

    Jobs that it does not know are left out.
    """

    jobs: Mapping[int, tuple[str, Mapping[str, Any]]]
    names: frozenset[str]


def look(cluster: PartitionedCluster, master: int, ledger: Ledger) -> Found:
    """Ask a master for all that clients were promised, once no job is under way."""
    found: Found = eventually(lambda: _look(cluster, master, ledger), 2 * TIMEOUT)
    return found


def _look(cluster: PartitionedCluster, master: int, ledger: Ledger) -> Found | None:
    jobs = {}
    numbers = sorted({each.job for each in ledger.jobs})
    for place in range(0, len(numbers), _BATCH):
        batch = tuple(numbers[place : place + _BATCH])
        rows = cluster.ask(master, QueryJobs(ids=batch, fields=("status", "ops")))
        for number, row in zip(batch, rows, strict=True):
            if row is not None and row[0] is not None:
                jobs[number] = row[0], row[1][0]
    if not FINAL.issuperset(status for status, _ in jobs.values()):
        return None
    tags = cluster.ask(master, QueryTags(kind="cluster"))
    instances = cluster.ask(master, QueryInstances(names=(), fields=("name",)))
    return Found(jobs, frozenset([*tags, *(row[0] for row in instances)]))


def lost(ledger: Ledger, found: Found) -> list[str]:
    """Return what was acknowledged by any master and is not what was found."""
    return [*_lost_jobs(ledger, found), *_lost_changes(ledger, found)]


def _lost_jobs(ledger: Ledger, found: Found) -> Iterator[str]:
    first: dict[int, Acknowledged] = {}
    for each in ledger.jobs:
        if (other := first.setdefault(each.job, each)) is not each:
            yield f"job number {each.job} was given twice, on node {other.node} and {each.node}"
        status, opcode = found.jobs.get(each.job, ("", {}))
        if not status:
            yield f"job {each.job}, acknowledged on node {each.node}, is not known"
        elif not _same(each.opcode, opcode):
            yield f"job {each.job}, acknowledged on node {each.node}, is another job now"
        elif each.succeeded and status != "success":
            yield f"job {each.job}, which succeeded on node {each.node}, is in {status} now"


def _lost_changes(ledger: Ledger, found: Found) -> Iterator[str]:
    added, removed, unsure = dict[str, Acknowledged](), dict[str, Acknowledged](), set[str]()
    for each in ledger.jobs:
        status, opcode = found.jobs.get(each.job, ("", {}))
        done = each.succeeded or (status == "success" and _same(each.opcode, opcode))
        for changes, kinds in ((added, _ADDING), (removed, _REMOVING)):
            if isinstance(each.opcode, kinds):
                if done:
                    changes[_name(each.opcode)] = each
                elif changes is removed:
                    unsure.add(_name(each.opcode))
    unsure |= {_name(opcode) for opcode in ledger.unanswered if isinstance(opcode, _REMOVING)}
    for name, each in added.items():
        if name not in found.names and name not in removed and name not in unsure:
            yield f"{name} is gone, which job {each.job} on node {each.node} had added"
    for name, each in removed.items():
        if name in found.names:
            yield f"{name} is back, which job {each.job} on node {each.node} had removed"


_ADDING = (AddTags, CreateInstance)
_REMOVING = (RemoveTags, RemoveInstance)


def _name(opcode: Opcode) -> str:
    """Return the name of what an opcode changes; tags and instances here have different ones."""
    if isinstance(opcode, (AddTags, RemoveTags)):
        return opcode.tags[0]
    return str(getattr(opcode, "instance_name", ""))


def _same(asked: Opcode, known: Mapping[str, Any]) -> bool:
    """Whether the opcode of a job is the one that was asked for."""
    [name] = known.get("tags") or [known.get("instance_name", "")]
    return bool(known.get("OP_ID") == asked.__struct_config__.tag and name == _name(asked))


# --- one master


@dataclass(frozen=True)
class Attempt:
    """A failover to ``node``, successful or not; ``began`` when the tool was started."""

    node: int
    began: float

    @classmethod
    def now(cls, node: int) -> Attempt:
        return cls(node, time.monotonic())


def two_masters(ledger: Ledger, attempts: Iterable[Attempt]) -> list[str]:
    """Return what old masters acknowledged after their successor had acknowledged something."""
    problems = []
    order = sorted(attempts, key=lambda each: each.began)
    for place, each in enumerate(order):
        end = order[place + 1].began if place + 1 < len(order) else float("inf")
        then = [job for job in ledger.jobs if each.began <= job.sent < end]
        first = min((job.answered for job in then if job.node == each.node), default=None)
        problems += [
            f"the master on node {job.node} acknowledged job {job.job} after its successor on node"
            f" {each.node} had acknowledged"
            for job in then
            if first is not None and job.node != each.node and job.sent > first
        ]
    return problems
