# SPDX-License-Identifier: BSD-2-Clause
"""The journal on etcd: lost answers, deposed masters, a full store, large commits, checkpoints."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed, Failed, NotMaster
from ganeti.journal.etcd import local_copy
from ganeti.journal.etcd.etcd_store import PART_SIZE, EtcdStore, StoredLog
from ganeti.journal.etcd.interfaces import PutKey
from ganeti.journal.etcd.leadership import LEASE_SECONDS, SILENCE_SECONDS, Holder, Leadership
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import BEGINNING, Commit, IJournal
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.etcd import EtcdData, MemoryEtcd
from tests.contracts.journal import JournalContract, a_commit

PREFIX = "/ganeti/test/"
DATA = "/data"
FILES = {"config.data": b"{}", "queue/job-1": b"[]"}

T = TypeVar("T")


class Host:
    """A host with its disk, and its client of etcd."""

    def __init__(self, name: str, data: EtcdData, clock: Clock) -> None:
        self.etcd = MemoryEtcd(data)
        self.clock = clock
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk, clock)
        self.lost: list[NotMaster] = []
        me = Holder(master=name, process=1)
        self.leadership = Leadership(self.etcd, PREFIX, me, clock, lost=self.lost.append)
        self.store = EtcdStore(self.etcd, PREFIX, self.leadership, clock)

    async def start(self, *, take_over: bool = False) -> FileJournal:
        """Become the master, and return its journal."""
        await self.leadership.acquire(take_over=take_over)
        log = await self.store.load()
        if log is None:
            await self.store.create(FILES, BEGINNING)
            log = await self.store.load()
        assert log is not None
        await local_copy.update(self.files, DATA, self.store, log)
        journal = await FileJournal.open(self.files, f"{DATA}/journal", self.clock)
        journal.replicate_to(self.store)
        return journal


class EtcdJournalTests(JournalContract, SynchronousTestCase):
    def make(self) -> IJournal:
        self.data = EtcdData(self.clock)
        self.host = Host("node1", self.data, self.clock)
        self.file_journal = self.started(self.host)
        return self.file_journal

    def started(self, host: Host, *, take_over: bool = False) -> FileJournal:
        starting = Deferred.fromCoroutine(host.start(take_over=take_over))
        self.turn(99, SILENCE_SECONDS / 30)
        return self.successResultOf(starting)

    def tearDown(self) -> None:
        self.host.leadership.stop(NotMaster("the test is over"))

    def turn(self, turns: int = 30, seconds: float = 0.0) -> None:
        self.clock.pump([seconds] * turns)

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        waiting = self.begun(work)
        self.turn()
        return self.successResultOf(waiting)

    def break_down(self) -> None:
        self.data.full = True

    def heal(self) -> None:
        self.data.full = False

    def stored(self) -> StoredLog:
        """What another host finds in etcd."""
        found = self.done(Host("node9", self.data, self.clock).store.load())
        assert found is not None
        return found

    def test_an_acknowledged_commit_is_in_etcd(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        self.assertEqual(self.stored().end, self.file_journal.acknowledged())

    def test_commits_of_one_turn_are_one_transaction(self) -> None:
        # The first one also removes what an earlier master may have left.
        self.done(self.journal.append(a_commit(1)))
        before = self.data.revision
        for number in range(2, 6):
            self.begun(self.journal.append(a_commit(number)))
        self.turn()
        self.assertEqual((self.journal.last_commit(), self.data.revision), (5, before + 1))

    def test_a_commit_whose_answer_was_lost_is_stored_once(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        self.host.etcd.lost = "answers"
        appending = self.begun(self.journal.append(a_commit(2)))
        self.turn(9, self.host.etcd.timeout / 8)
        self.assertNoResult(appending)
        head = self.data.entries[f"{PREFIX}head"]
        self.host.etcd.lost = ""
        self.turn(9, 0.2)
        self.assertEqual(self.successResultOf(appending), 2)
        self.assertEqual(self.data.entries[f"{PREFIX}head"], head)
        self.assertEqual(self.stored().end.position, 2)

    def test_a_commit_whose_request_was_lost_is_sent_again(self) -> None:
        self.host.etcd.lost = "requests"
        appending = self.begun(self.journal.append(a_commit(1)))
        self.turn(9, self.host.etcd.timeout / 8)
        self.host.etcd.lost = ""
        self.turn(9, 0.2)
        self.assertEqual(self.successResultOf(appending), 1)

    def test_a_deposed_master_cannot_store_anything(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        self.host.etcd.lost = "requests"
        late = self.begun(self.journal.append(a_commit(2)))
        self.turn(4 * LEASE_SECONDS, 0.5)
        other = Host("node2", self.data, self.clock)
        journal = self.started(other, take_over=True)
        self.assertEqual(list(journal.replay(0)), [(1, a_commit(1))])
        self.host.etcd.lost = ""
        self.turn(20, 0.1)
        self.failureResultOf(late, CommitFailed)
        self.assertEqual(self.done(journal.append(a_commit(3))), 2)
        self.assertIn("node2 is the master now", str(self.host.lost[0]))
        self.failureResultOf(self.begun(self.journal.reopen()), NotMaster)
        other.leadership.stop(NotMaster("the test is over"))

    def test_nothing_is_acknowledged_without_the_lease(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        # Answers take longer than a lease, as those to a process that is paused.
        self.host.etcd.latency = lambda: 0.6 * SILENCE_SECONDS
        appending = self.begun(self.journal.append(a_commit(2)))
        self.turn(14, 0.5)
        self.assertEqual(self.data.entries[f"{PREFIX}head"].value[:14], b'{"position":2,')
        self.assertNoResult(appending)
        self.host.etcd.latency = lambda: 0.0
        self.turn(40, 0.5)
        self.assertEqual(self.successResultOf(appending), 2)

    def test_a_lease_that_ended_is_regained_if_there_was_no_other_master(self) -> None:
        self.host.etcd.lost = "requests"
        appending = self.begun(self.journal.append(a_commit(1)))
        self.turn(30, 0.5)
        self.host.etcd.lost = ""
        self.turn(30, 0.2)
        self.assertEqual(self.successResultOf(appending), 1)
        self.assertEqual((self.host.leadership.term, self.host.lost), (1, []))

    def test_a_commit_that_only_etcd_has_is_removed_after_the_disk_failed(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        self.host.disk.break_down()
        self.failureResultOf(self.appended(2), CommitFailed)
        self.host.disk.heal()
        self.done(self.journal.reopen())
        self.assertEqual(self.stored().end.position, 1)
        self.assertEqual(self.done(self.journal.append(a_commit(3))), 2)

    def appended(self, number: int, *, size: int = 0) -> Deferred[int]:
        appending = self.begun(self.journal.append(a_commit(number, size=size)))
        self.turn()
        return appending

    def test_a_large_commit_has_several_parts(self) -> None:
        self.successResultOf(self.appended(1, size=3 * PART_SIZE))
        self.assertEqual(self.stored().end, self.file_journal.acknowledged())
        sizes = {len(entry.value) for entry in self.data.entries.values()}
        self.assertLessEqual(max(sizes), PART_SIZE)

    def test_parts_of_a_write_that_was_never_completed_are_removed(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        # What a master leaves that is killed between the parts of a write.
        left = PutKey(f"{PREFIX}log/{2:016}/0001", b"left over")
        self.done(self.host.etcd.txn([], [left]))
        self.host.leadership.stop(NotMaster("it is killed"))
        self.done(self.host.leadership.delete_leader_key(stopped=True))
        other = Host("node2", self.data, self.clock)
        journal = self.started(other, take_over=True)
        self.done(journal.append(a_commit(2)))
        self.assertNotIn(left.key, self.data.entries)
        self.done(local_copy.update(self.host.files, DATA, other.store, self.stored()))
        other.leadership.stop(NotMaster("the test is over"))

    def test_another_program_that_changes_the_log_stops_the_master(self) -> None:
        self.done(self.host.etcd.txn([], [PutKey(f"{PREFIX}head", b"{}")]))
        self.failureResultOf(self.appended(1), CommitFailed)
        self.assertIn("another program", str(self.file_journal.refusal))

    def test_a_checkpoint_replaces_the_commits_before_it(self) -> None:
        for number in range(1, 5):
            self.done(self.journal.append(a_commit(number)))
        at = self.file_journal.find_log_position(3)
        self.done(self.host.store.checkpoint({"config.data": b"new"}, at))
        log = self.stored()
        self.assertEqual((log.checkpoint, log.after.position, log.end.position), (at, 2, 4))
        files, found = self.done(self.host.store.read_checkpoint())
        self.assertEqual((files, found), ({"config.data": b"new"}, at))
        self.assertEqual(len([key for key in self.data.entries if "checkpoints" in key]), 1)

    def test_a_large_checkpoint_has_several_parts(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        content = b"".join(n.to_bytes(4, "big") for n in range(PART_SIZE))
        self.done(self.host.store.checkpoint({"x": content}, self.file_journal.acknowledged()))
        files, _ = self.done(self.host.store.read_checkpoint())
        self.assertEqual(files, {"x": content})

    def test_a_damaged_checkpoint_is_not_used(self) -> None:
        [key] = [key for key in self.data.entries if "checkpoints" in key]
        self.done(self.host.etcd.txn([], [PutKey(key, b"x")]))
        self.failureResultOf(self.begun_and_turned(self.host.store.read_checkpoint()), Failed)

    def begun_and_turned(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        working = self.begun(work)
        self.turn()
        return working

    def test_a_compaction_during_a_read_starts_it_again(self) -> None:
        for number in range(1, 40):
            self.done(self.journal.append(a_commit(number)))
        reader = Host("node9", self.data, self.clock)
        reader.etcd.latency = lambda: 1.0
        loading = self.begun(reader.store.load())
        self.turn(3, 1.0)
        self.done(self.journal.append(a_commit(40)))
        self.data.compact()
        self.turn(30, 1.0)
        found = self.successResultOf(loading)
        assert found is not None
        self.assertEqual(found.end.position, 40)


class LocalCopyTests(SynchronousTestCase):
    """A host that becomes the master, whatever is on its disk."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.data = EtcdData(self.clock)
        self.first = Host("node1", self.data, self.clock)
        self.journal = self.done(self.first.start())
        for number in range(1, 5):
            self.done(self.journal.append(a_commit(number)))

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        working = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 99)
        return self.successResultOf(working)

    def hand_over(self, to: Host) -> FileJournal:
        """End the master, and start another one."""
        self.first.leadership.stop(NotMaster("it stops"))
        self.done(self.first.leadership.delete_leader_key(stopped=True))
        self.addCleanup(to.leadership.stop, NotMaster("the test is over"))
        return self.done(to.start(take_over=True))

    def commits(self, journal: FileJournal, after: int = 0) -> list[tuple[int, Commit]]:
        return list(journal.replay(after))

    def test_an_empty_disk_gets_the_checkpoint_and_all_commits(self) -> None:
        other = Host("node2", self.data, self.clock)
        journal = self.hand_over(other)
        self.assertEqual(self.commits(journal), self.commits(self.journal))
        self.assertEqual(other.files.read(f"{DATA}/config.data"), b"{}")

    def test_the_same_host_keeps_its_copy(self) -> None:
        again = Host("node1", self.data, self.clock)
        again.disk, again.files = self.first.disk, self.first.files
        asked = again.etcd
        journal = self.hand_over(again)
        self.assertEqual(self.commits(journal), self.commits(self.journal))
        self.assertLess(asked.asked, 9)

    def test_a_copy_that_is_behind_gets_what_it_lacks(self) -> None:
        again = Host("node1", self.data, self.clock)
        again.disk = self.first.disk.snapshot()
        again.files = MemoryFiles(again.disk, self.clock)
        self.done(self.journal.append(a_commit(5)))
        self.assertEqual(self.hand_over(again).last_commit(), 5)

    def test_what_was_never_acknowledged_is_removed(self) -> None:
        self.first.etcd.lost = "requests"
        Deferred.fromCoroutine(self.journal.append(a_commit(5))).addErrback(lambda _: None)
        self.clock.pump([0] * 9)
        again = Host("node1", self.data, self.clock)
        again.disk = self.first.disk.snapshot()
        again.files = MemoryFiles(again.disk, self.clock)
        self.first.etcd.lost = ""
        self.first.leadership.stop(NotMaster("it stops"))
        self.done(self.first.leadership.delete_leader_key(stopped=True))
        self.addCleanup(again.leadership.stop, NotMaster("the test is over"))
        journal = self.done(again.start())
        self.assertEqual(journal.last_commit(), 4)
        journal.replicate_to(again.store)
        self.assertEqual(self.done(journal.append(a_commit(6))), 5)

    def test_a_copy_of_another_history_is_replaced(self) -> None:
        other = Host("node2", EtcdData(self.clock), self.clock)
        stale = self.done(other.start())
        for number in range(7, 15):
            self.done(stale.append(a_commit(number)))
        other.leadership.stop(NotMaster("it stops"))
        successor = Host("node2", self.data, self.clock)
        successor.disk, successor.files = other.disk, other.files
        journal = self.hand_over(successor)
        self.assertEqual(self.commits(journal), self.commits(self.journal))

    def test_a_copy_that_is_older_than_the_checkpoint_is_replaced(self) -> None:
        old = self.first.disk.snapshot()
        for number in range(5, 9):
            self.done(self.journal.append(a_commit(number)))
        at = self.journal.acknowledged()
        self.done(self.first.store.checkpoint({"config.data": b"new"}, at))
        other = Host("node2", self.data, self.clock)
        other.disk, other.files = old, MemoryFiles(old, self.clock)
        journal = self.hand_over(other)
        self.assertEqual((journal.base_position(), journal.last_commit()), (8, 8))
        self.assertEqual(other.files.read(f"{DATA}/config.data"), b"new")
        self.assertNotIn("job-1", other.files.names(f"{DATA}/queue"))

    def test_a_damaged_log_in_etcd_is_not_used(self) -> None:
        [key] = [key for key in self.data.entries if "/log/0000000000000003/" in key]
        broken = self.data.entries[key].value[:-1] + b"x"
        self.done(self.first.etcd.txn([], [PutKey(key, broken)]))
        other = Host("node2", self.data, self.clock)
        self.first.leadership.stop(NotMaster("it stops"))
        self.done(self.first.leadership.delete_leader_key(stopped=True))
        self.addCleanup(other.leadership.stop, NotMaster("the test is over"))
        starting = Deferred.fromCoroutine(other.start(take_over=True))
        self.clock.pump([0] * 50)
        self.assertIn(
            "log in etcd is damaged", self.failureResultOf(starting, Failed).getErrorMessage()
        )
