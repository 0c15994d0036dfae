# SPDX-License-Identifier: BSD-2-Clause
"""Masters that crash, hang and compete, at random: what was acknowledged stays, in one history."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed, Failed, NotMaster
from ganeti.journal.etcd import local_copy
from ganeti.journal.etcd.etcd_store import EtcdStore
from ganeti.journal.etcd.leadership import LEASE_SECONDS, Holder, Leadership
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import BEGINNING, Commit, StoreError
from ganeti.testing.disk import Crashed, MemoryDisk, MemoryFiles
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from tests.contracts.journal import a_commit

PREFIX, DATA = "/ganeti/test/", "/data"
NAMES = ("node1", "node2", "node3")
STEPS = 60
SEEDS = range(40)


class Process:
    """A master daemon on a host, until it crashes or is replaced."""

    def __init__(self, world: World, name: str, disk: MemoryDisk) -> None:
        self.world, self.name, self.disk = world, name, disk
        self.etcd = MemoryEtcd(world.data, lambda: world.random.uniform(0.0, 0.05))
        me = Holder(master=name, process=world.random.randrange(1 << 30))
        self.leadership = Leadership(self.etcd, PREFIX, me, world.clock)
        self.store = EtcdStore(self.etcd, PREFIX, self.leadership, world.clock)
        self.files = MemoryFiles(disk, world.clock)
        self.journal: FileJournal | None = None
        self.reason = "it has not started"
        self.starting = Deferred.fromCoroutine(self.start())
        self.starting.addErrback(lambda failure: self.failed(failure))

    def failed(self, failure: Failure) -> None:
        """Note why this process could not start."""
        failure.trap(NotMaster, Failed, StoreError, Crashed, CommitFailed)
        self.reason = failure.getErrorMessage()

    async def start(self) -> None:
        await self.leadership.acquire(take_over=True)
        log = await self.store.load()
        if log is None:
            await self.store.create({"config.data": b"{}"}, BEGINNING)
            log = await self.store.load()
        assert log is not None
        await local_copy.update(self.files, DATA, self.store, log)
        self.journal = await FileJournal.open(self.files, f"{DATA}/journal", self.world.clock)
        self.journal.replicate_to(self.store)
        await self.journal.append(self.world.next_commit())

    def append(self) -> None:
        """Submit a commit; note when it is acknowledged."""
        journal, commit = self.journal, self.world.next_commit()
        if journal is None:
            return

        async def append() -> None:
            if journal.refusal is not None:
                await journal.reopen()
            position = await journal.append(commit)
            self.world.acknowledge(self.leadership.term, position, commit)

        appending = Deferred.fromCoroutine(append())
        appending.addErrback(lambda failure: failure.trap(CommitFailed, NotMaster, Crashed))

    def checkpoint(self) -> None:
        """Store a checkpoint of what is acknowledged."""
        if self.journal is not None:
            files, at = {"config.data": b"later"}, self.journal.acknowledged()
            storing = Deferred.fromCoroutine(self.store.checkpoint(files, at))
            storing.addErrback(lambda failure: failure.trap(NotMaster, StoreError))

    def end(self) -> None:
        """Crash: nothing that this process has begun goes on."""
        self.etcd.lost = "requests"
        self.disk.crash()
        self.leadership.stop(NotMaster("it has crashed"))


class World:
    """Three hosts and an etcd, on one clock; everything follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = Clock()
        self.data = EtcdData(self.clock)
        self.acknowledged: dict[int, Commit] = {}
        self.newest = 0
        self.problems: list[str] = []
        self._numbers = 0
        self.processes = {name: Process(self, name, MemoryDisk(self.random)) for name in NAMES[:1]}

    def next_commit(self) -> Commit:
        self._numbers += 1
        size = self.random.choice((0, 0, 0, 700_000))
        return a_commit(self._numbers, size=size)

    def acknowledge(self, term: int, position: int, commit: Commit) -> None:
        other = self.acknowledged.setdefault(position, commit)
        if other is not commit:
            self.problems.append(f"commit {position} was acknowledged twice")
        if term < self.newest:
            self.problems.append(f"term {term} acknowledged after term {self.newest}")
        self.newest = max(self.newest, term)

    def run(self, seconds: float) -> None:
        self.clock.pump([0.02] * round(seconds / 0.02))

    def restart(self, name: str) -> None:
        """Crash a host if it runs, and start its master daemon with what the disk has kept."""
        old = self.processes.get(name)
        if old is not None:
            old.end()
        disk = old.disk.after_crash() if old is not None else MemoryDisk(self.random)
        self.processes[name] = Process(self, name, disk)

    def step(self) -> None:
        """Do something at random."""
        process = self.random.choice(list(self.processes.values()))
        match self.random.randrange(12):
            case 0:
                self.restart(self.random.choice(NAMES))
            case 1:
                process.etcd.lost = self.random.choice(("requests", "answers"))
            case 2 | 3:
                process.etcd.lost = ""
            case 4:
                self.data.full = not self.data.full
            case 5:
                self.data.compact()
            case 6:
                process.checkpoint()
            case _:
                for _ in range(self.random.randrange(1, 6)):
                    process.append()
        self.run(self.random.choice((0.02, 0.1, 0.5, 2.0)))

    def settle(self) -> FileJournal:
        """End all masters, and start a last one from an empty disk; its journal."""
        self.data.full = False
        for process in self.processes.values():
            process.end()
        self.run(LEASE_SECONDS + 1)
        last = self.processes["node9"] = Process(self, "node9", MemoryDisk(self.random))
        self.run(LEASE_SECONDS)
        assert last.journal is not None, last.reason
        return last.journal

    def close(self) -> None:
        for process in self.processes.values():
            process.leadership.stop(NotMaster("the test is over"))


class ChaosTests(SynchronousTestCase):
    def test_what_was_acknowledged_is_in_the_state_of_every_later_master(self) -> None:
        total = 0
        for seed in SEEDS:
            world = World(seed)
            world.run(1.0)
            for _ in range(STEPS):
                world.step()
            journal = world.settle()
            base = journal.base_position()
            there = dict(journal.replay(base))
            lost = [
                position
                for position, commit in world.acknowledged.items()
                if position > base and there.get(position) != commit
            ]
            beyond = [
                position for position in world.acknowledged if position > journal.last_commit()
            ]
            self.assertEqual((world.problems, lost, beyond), ([], [], []), f"seed {seed}")
            total += len(world.acknowledged)
            world.close()
        # The seeds would prove nothing if hardly anything was acknowledged.
        self.assertGreater(total, 10 * len(SEEDS))
