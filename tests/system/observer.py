# SPDX-License-Identifier: BSD-2-Clause
"""What an observer outside a cluster sees: guests that run twice, and what masters acknowledge.

The observer reads the notes of the fake hypervisor on every node many times a second. Clients ask
the masters of all nodes for changes, all the time, and remember each acknowledgement; afterwards
the cluster is asked whether all of that is there.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from ganeti.errors import GanetiError
from ganeti.luxi.client import Client
from ganeti.luxi.methods import QueryInstances, QueryJobs, QueryTags, SubmitJob, WaitForJobChange
from ganeti.luxi.reach import MasterAway, Unanswered
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, TagKind
from tests.system.partitions import PartitionedCluster
from tools.quickstart.orders import FINAL

SAMPLE_INTERVAL = 0.01
"""Seconds between two looks at all nodes."""

CLIENTS = 2
"""How many clients ask the master of one node."""

CLIENT_INTERVAL = 0.05
"""Seconds between the jobs of one client."""

CLIENT_TIMEOUT = 5.0
"""Seconds that a client waits for an acknowledgement, and for the end of its job."""


# --- guests


@dataclass(frozen=True)
class Twice:
    """A guest that ran on two nodes at one instant."""

    guest: str
    nodes: tuple[int, int]
    at: float

    def __str__(self) -> str:
        return f"{self.guest} ran on the nodes {self.nodes[0]} and {self.nodes[1]} at once"


class GuestObserver:
    """Looks for guests that run on two nodes, from ``start`` to ``stop``."""

    def __init__(self, cluster: PartitionedCluster) -> None:
        self._folders = {
            number: Path(cluster.node(number).paths.run) / "fake-hypervisor"
            for number in cluster.numbers
        }
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="guest observer")
        self._since: dict[tuple[str, tuple[int, int]], Twice] = {}
        self.samples = 0

    @property
    def twice(self) -> list[Twice]:
        """Return each guest that ran twice, once for each pair of nodes."""
        return list(self._since.values())

    def __enter__(self) -> GuestObserver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def running(self) -> dict[str, list[int]]:
        """Return the nodes on which each guest runs."""
        found: dict[str, list[int]] = {}
        for number, folder in self._folders.items():
            for name in _notes(folder):
                if _runs_since(folder / name) is not None:
                    found.setdefault(unquote(name), []).append(number)
        return found

    def look(self) -> None:
        """Look once at all nodes."""
        self.samples += 1
        homes: dict[str, list[int]] = {}
        for number, folder in self._folders.items():
            for name in _notes(folder):
                homes.setdefault(name, []).append(number)
        for name, numbers in homes.items():
            for place, first in enumerate(numbers):
                for second in numbers[place + 1 :]:
                    if self._at_once(name, first, second):
                        seen = Twice(unquote(name), (first, second), time.monotonic())
                        self._since.setdefault((name, (first, second)), seen)

    def _at_once(self, name: str, first: int, second: int) -> bool:
        """Whether a guest runs on two nodes at one instant, which two looks alone do not show.

        A note is a file that is replaced, never changed. One that is the same before and after
        the other was read was there at that instant.
        """
        before = _runs_since(self._folders[first] / name)
        if before is None or _runs_since(self._folders[second] / name) is None:
            return False
        return _runs_since(self._folders[first] / name) == before

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL):
            self.look()


def _notes(folder: Path) -> list[str]:
    try:
        # A name that begins with a dot is a note on its way.
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _runs_since(note: Path) -> tuple[int, int] | None:
    """Return what identifies a note that says that its guest runs there; None if none does."""
    try:
        with open(note, "rb") as file:
            text, status = file.read(), os.fstat(file.fileno())
        return (status.st_ino, status.st_ctime_ns) if json.loads(text)["place"] == "here" else None
    except FileNotFoundError:
        return None


# --- acknowledgements


@dataclass
class Acknowledged:
    """A job that the master on ``node`` has taken; ``ended`` if a client saw it succeed."""

    job: int
    node: int
    opcode: Opcode
    sent: float
    answered: float
    ended: float | None = None


@dataclass
class Ledger:
    """All that clients were promised, in any order."""

    jobs: list[Acknowledged] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0

    def latest(self) -> float:
        """Return when the last acknowledgement came; 0 if none did."""
        return max((each.answered for each in list(self.jobs)), default=0.0)

    def gaps(self, since: float, until: float) -> list[float]:
        """Return the times without an acknowledgement between two moments, in order."""
        moments = sorted(each.answered for each in self.jobs if since <= each.answered <= until)
        edges = [since, *moments, until]
        return [after - before for before, after in itertools.pairwise(edges)]


class Clients:
    """Clients of every node, which ask the master there, if there is one, for changes."""

    def __init__(
        self, cluster: PartitionedCluster, ledger: Ledger, seed: int, moving: Sequence[str] = ()
    ) -> None:
        """``moving`` are instances that may be started, stopped and migrated."""
        self._cluster = cluster
        self._ledger = ledger
        self._seed = seed
        self._moving = tuple(moving)
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(number, client), name=f"client of {number}")
            for number in cluster.numbers
            for client in range(CLIENTS)
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int, client_number: int) -> None:
        opcodes = self._opcodes(f"{number}-{client_number}")
        while not self._over.wait(CLIENT_INTERVAL):
            if self._cluster.runs(number, "masterd"):
                # A connection for each job: one that a paused master leaves must not block.
                with self._cluster.client(number, CLIENT_TIMEOUT) as client:
                    submit(client, number, next(opcodes), self._ledger)

    def _opcodes(self, own: str) -> Iterator[Opcode]:
        chance = random.Random(f"{self._seed} {own}")
        for count in itertools.count():
            name = f"{self._seed}-{own}-{count}"
            match chance.randrange(20):
                case 0:
                    yield a_diskless_instance(f"made-{name}")
                case 1 | 2 if self._moving:
                    yield _move(chance, chance.choice(self._moving))
                case _:
                    yield AddTags(kind=TagKind.CLUSTER, tags=(f"tag-{name}",))


def submit(client: Client, number: int, opcode: Opcode, ledger: Ledger) -> Acknowledged | None:
    """Ask the master on a node for a job, and note what becomes of it."""
    sent = time.monotonic()
    try:
        job = client.ask(SubmitJob(ops=(opcode,)))
    except MasterAway:
        return None
    except Unanswered:
        ledger.unanswered += 1
        return None
    except GanetiError as e:
        ledger.refused[str(e)] += 1
        return None
    taken = Acknowledged(job, number, opcode, sent, time.monotonic())
    ledger.jobs.append(taken)
    with suppress(GanetiError):
        if _status(client, job) == "success":
            taken.ended = time.monotonic()
    return taken


def _status(client: Client, job: int) -> str:
    """Return the status of a job at its end, or as it is after a while."""
    known, until = None, time.monotonic() + CLIENT_TIMEOUT
    while (left := until - time.monotonic()) > 0:
        change = WaitForJobChange(
            job_id=job, fields=("status",), prev_job_info=known, timeout=min(1.0, left)
        )
        if (answer := client.ask(change)) is None:
            return "unknown"
        known = answer[0]
        if known[0] in FINAL:
            break
    return str(known[0]) if known else "unknown"


def a_diskless_instance(name: str, node: str | None = None) -> CreateInstance:
    """An instance of which only the record counts; it is not started."""
    return CreateInstance(
        instance_name=name,
        mode=CreationMode.CREATE,
        disk_template=Template.DISKLESS,
        disks=(),
        nics=(),
        beparams={"memory": 16},
        os_type="noop",
        no_install=True,
        start=False,
        name_check=False,
        ip_check=False,
        pnode=node,
    )


def a_shared_instance(name: str, node: str) -> CreateInstance:
    """An instance that runs, and can run on every node."""
    return CreateInstance(
        instance_name=name,
        mode=CreationMode.CREATE,
        disk_template=Template.SHAREDFILE,
        disks=({"size": 16},),
        nics=(),
        beparams={"memory": 16},
        os_type="noop",
        name_check=False,
        ip_check=False,
        pnode=node,
    )


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


# --- what is compared


def lost(cluster: PartitionedCluster, master: int, ledger: Ledger) -> list[str]:
    """Return what was acknowledged by any master and is not in the state of this one."""
    problems = []
    by_number: dict[int, Acknowledged] = {}
    for each in ledger.jobs:
        if each.job in by_number:
            other = by_number[each.job]
            problems.append(
                f"job number {each.job} was given twice, by the masters on node {other.node} and"
                f" node {each.node}"
            )
        by_number[each.job] = each
    numbers = sorted(by_number)
    rows = cluster.ask(master, QueryJobs(ids=tuple(numbers), fields=("id", "status", "ops")))
    statuses: dict[int, str] = {}
    for number, row in zip(numbers, rows, strict=True):
        each = by_number[number]
        if row is None or row[1] is None:
            problems.append(f"job {number}, acknowledged on node {each.node}, is not known")
            continue
        statuses[number] = row[1]
        if not _asked_for(each.opcode, row[2]):
            problems.append(f"job {number}, acknowledged on node {each.node}, is another job now")
    tags = set(cluster.ask(master, QueryTags(kind="cluster")))
    found = cluster.ask(master, QueryInstances(names=(), fields=("name",)))
    instances = {row[0] for row in found}
    for each in ledger.jobs:
        if each.ended is None and statuses.get(each.job) != "success":
            continue
        if isinstance(each.opcode, AddTags) and not tags >= set(each.opcode.tags):
            problems.append(f"job {each.job} of node {each.node} succeeded, its tag is not there")
        if isinstance(each.opcode, CreateInstance) and each.opcode.instance_name not in instances:
            problems.append(
                f"job {each.job} of node {each.node} succeeded, {each.opcode.instance_name} is not"
                " there"
            )
        if each.ended is not None and statuses.get(each.job, "success") != "success":
            problems.append(f"job {each.job} had succeeded and is {statuses[each.job]} now")
    return problems


def _asked_for(opcode: Opcode, ops: Iterable[dict[str, object]]) -> bool:
    """Whether a job's opcodes are the one that was asked for."""
    kind = next(iter(ops))
    match opcode:
        case AddTags():
            return kind.get("tags") == list(opcode.tags)
        case _:
            return kind.get("instance_name") == getattr(opcode, "instance_name", None)


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
