# SPDX-License-Identifier: BSD-2-Clause
"""The journal in files: group commit, failures, segments, crashes at every write."""

from __future__ import annotations

import errno
import os
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.errors import CommitFailed, NotMaster
from ganeti.journal.file_journal import MAX_TURN_SECONDS, FileJournal
from ganeti.journal.interfaces import (
    BEGINNING,
    Commit,
    IJournal,
    IReplicas,
    JournalDamaged,
    LogPosition,
)
from ganeti.journal.segments import PositionNotFound, Segments
from ganeti.system.files import LocalFiles
from ganeti.testing.disk import Crashed, MemoryDisk, MemoryFiles
from ganeti.testing.journal import MemoryJournal
from tests.contracts.journal import JournalContract, a_commit
from tests.contracts.test_files import at_once

FOLDER = "/data/journal"


class MemoryJournalTests(JournalContract, SynchronousTestCase):
    def make(self) -> IJournal:
        self.memory = MemoryJournal()
        return self.memory

    def break_down(self) -> None:
        self.memory.break_down()

    def heal(self) -> None:
        self.memory.heal()


class FileJournalTests(JournalContract, SynchronousTestCase):
    def make(self) -> IJournal:
        self.disk = MemoryDisk()
        self.file_journal = self.opened()
        return self.file_journal

    def opened(self, *, segment_size: int = 1 << 20) -> FileJournal:
        files = MemoryFiles(self.disk, self.clock)
        return self.done(FileJournal.open(files, FOLDER, self.clock, segment_size=segment_size))

    def appended(self, *numbers: int) -> None:
        for number in numbers:
            self.done(self.file_journal.append(a_commit(number)))

    def break_down(self) -> None:
        self.disk.break_down(errno.ENOSPC)

    def heal(self) -> None:
        self.disk.heal()

    def test_what_a_killed_process_had_not_synced_is_durable_once_the_journal_is_open(self) -> None:
        self.appended(1)
        clock = Clock()
        files = MemoryFiles(self.disk, clock, latency=1.0)
        opening = Deferred.fromCoroutine(FileJournal.open(files, FOLDER, clock))
        clock.pump([1.0] * 9)
        killed = self.successResultOf(opening)
        Deferred.fromCoroutine(killed.append(a_commit(2)))
        clock.advance(0)  # the frame is in the file, and its sync has not returned
        self.file_journal = self.opened()
        self.assertEqual((killed.last_commit(), self.file_journal.last_commit()), (1, 2))
        self.done(self.file_journal.rotate())
        self.appended(3)
        self.disk = self.disk.after_crash()
        self.assertEqual([position for position, _ in self.opened().replay(0)], [1, 2, 3])

    # --- group commit

    def test_appends_of_one_turn_share_a_sync(self) -> None:
        writes = self.disk.writes
        for number in range(50):
            self.begun(self.journal.append(a_commit(number)))
        self.clock.pump([0] * 9)
        self.assertEqual((self.disk.writes - writes, self.journal.last_commit()), (1, 50))

    def test_appends_that_arrive_during_a_sync_share_the_next(self) -> None:
        files = MemoryFiles(self.disk, self.clock, latency=1.0)
        opening = self.begun(FileJournal.open(files, FOLDER, self.clock))
        self.clock.pump([1.0] * 9)
        journal = self.successResultOf(opening)
        first = self.begun(journal.append(a_commit(1)))
        self.clock.advance(0)
        later = [self.begun(journal.append(a_commit(number))) for number in (2, 3)]
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(first), 1)
        self.assertNoResult(later[0])
        self.clock.advance(1)
        self.assertEqual([self.successResultOf(each) for each in later], [2, 3])

    def test_between_authors_that_have_much_to_do_other_work_has_a_turn(self) -> None:
        def be_busy(*_: object) -> None:
            self.clock.rightNow += 2 * MAX_TURN_SECONDS
            self.clock.callLater(0, lambda: ends.append(self.file_journal.last_commit()))

        ends: list[int] = []
        self.file_journal.observe(be_busy)
        for number in (1, 2):
            self.begun(self.file_journal.append(a_commit(number)))
        self.clock.pump([0] * 9)
        self.assertEqual(ends, [1, 2])

    def test_the_end_is_that_of_the_last_acknowledged_commit(self) -> None:
        ends: list[int] = []
        for number in range(3):
            self.begun(self.journal.append(a_commit(number))).addCallback(
                lambda _: ends.append(self.journal.last_commit())
            )
        self.clock.pump([0] * 9)
        self.assertEqual(ends, [1, 2, 3])

    def test_who_gives_up_waiting_takes_nothing_back(self) -> None:
        waiting = self.begun(self.journal.append(a_commit(1)))
        waiting.cancel()
        self.clock.pump([0] * 9)
        self.assertEqual(self.successResultOf(waiting), 1)

    # --- failures

    def test_a_failure_takes_all_that_were_under_way_and_says_why(self) -> None:
        self.disk.fail(self.disk.writes + 1, errno.ENOSPC)
        waiting = [self.begun(self.journal.append(a_commit(number))) for number in range(3)]
        self.clock.pump([0] * 9)
        for each in waiting:
            self.assertIn("disk is full", str(self.failureResultOf(each, CommitFailed).value))
        self.assertIn("disk is full", str(self.file_journal.refusal))

    def test_after_a_failed_sync_nothing_of_it_is_left(self) -> None:
        self.appended(1)
        size = len(self.disk.contents()[f"{FOLDER}/segment-{1:016}"])
        self.disk.fail(self.disk.writes + 1, errno.EIO)
        self.trouble(self.journal.append(a_commit(2)))
        self.done(self.journal.reopen())
        self.assertEqual(len(self.disk.contents()[f"{FOLDER}/segment-{1:016}"]), size)

    def test_a_failure_at_any_write_loses_nothing_that_was_acknowledged(self) -> None:
        for number in range(1, 20):
            self.setUp()
            self.file_journal = self.opened(segment_size=800)
            self.disk.fail(self.disk.writes + number, Random(number).choice([5, 28]))
            kept: list[Commit] = []
            for each in range(10):
                waiting = self.begun(self.file_journal.append(a_commit(each)))
                self.clock.pump([0] * 9)
                if isinstance(getattr(waiting, "result", None), int):
                    kept.append(a_commit(each))
                else:
                    self.failureResultOf(waiting, CommitFailed)
                    self.done(self.file_journal.reopen())
            self.assertGreaterEqual(len(kept), 9)
            again = self.opened(segment_size=800)
            self.assertEqual([each for _, each in again.replay(0)], kept, f"write {number}")

    # --- segments

    def test_a_full_segment_is_followed_by_another(self) -> None:
        self.file_journal = self.opened(segment_size=600)
        self.appended(*range(1, 9))
        self.assertGreater(len(self.disk.contents()), 2)
        self.assertEqual([n for n, _ in self.file_journal.replay(0)], list(range(1, 9)))
        again = self.opened()
        self.assertEqual(again.end_position(), self.file_journal.end_position())
        self.assertEqual([n for n, _ in again.replay(5)], [6, 7, 8])

    def test_a_whole_segment_before_a_checkpoint_can_stay(self) -> None:
        for number in (1, 2, 3):
            self.appended(number)
            self.done(self.file_journal.rotate())
        self.appended(4, 5)
        self.assertEqual(self.file_journal.previous_segment(5), 3)
        self.done(self.journal.remove_before(self.file_journal.previous_segment(5)))
        self.assertEqual(self.file_journal.base_position(), 2)
        self.assertEqual(self.file_journal.previous_segment(1), 3)

    def test_whole_segments_are_forgotten(self) -> None:
        self.appended(1, 2)
        self.done(self.file_journal.rotate())
        self.done(self.file_journal.rotate())
        self.appended(3)
        self.done(self.file_journal.remove_before(3))
        self.assertEqual(list(self.disk.contents()), [f"{FOLDER}/segment-{3:016}"])
        again = self.opened()
        self.assertEqual(list(again.replay(2)), [(3, a_commit(3))])
        with self.assertRaisesRegex(JournalDamaged, "has commits 3 to 3"):
            again.replay(1)

    def test_a_segment_that_could_not_be_removed_leaves_no_gap(self) -> None:
        for number in range(1, 4):
            self.appended(number)
            self.done(self.file_journal.rotate())
        self.disk.fail(self.disk.writes + 1, errno.EIO)
        forgetting = self.begun(self.journal.remove_before(4))
        self.clock.pump([0] * 9)
        self.failureResultOf(forgetting, OSError)
        self.assertEqual(len(list(self.opened().replay(0))), 3)
        self.done(self.journal.remove_before(4))
        self.assertEqual(self.opened().base_position(), 3)

    def test_a_missing_segment_is_damage(self) -> None:
        self.appended(1)
        self.done(self.file_journal.rotate())
        self.appended(2)
        self.done(self.file_journal.rotate())
        files = MemoryFiles(self.disk)
        self.successResultOf(files.remove(f"{FOLDER}/segment-{2:016}"))
        with self.assertRaisesRegex(JournalDamaged, "ends after commit 1"):
            list(self.opened().replay(0))

    def test_a_torn_end_is_cut_off_when_it_is_opened(self) -> None:
        self.appended(1, 2)
        [(path, content)] = self.disk.contents().items()
        self.disk.overwrite(path, content[:-5])
        again = self.opened()
        self.assertEqual(list(again.replay(0)), [(1, a_commit(1))])
        self.assertEqual(self.done(again.append(a_commit(3))), 2)
        self.assertEqual([n for n, _ in self.opened().replay(0)], [1, 2])

    def test_a_torn_end_before_another_segment_is_damage(self) -> None:
        self.appended(1, 2)
        self.done(self.file_journal.rotate())
        path = f"{FOLDER}/segment-{1:016}"
        self.disk.overwrite(path, self.disk.contents()[path][:-5])
        with self.assertRaisesRegex(JournalDamaged, "ends after commit 1"):
            list(self.opened().replay(0))

    # --- for replicas

    def test_frames_are_given_in_pieces_that_follow_each_other(self) -> None:
        segments = Segments(MemoryFiles(self.disk), FOLDER)
        self.file_journal = self.opened(segment_size=900)
        self.appended(*range(1, 9))
        self.done(segments.open())
        for position in range(9):
            mark = self.file_journal.find_log_position(position)
            pieces = list(segments.frames_after(mark, limit=500))
            self.assertEqual([each.after for each in pieces[1:]], [e.end for e in pieces[:-1]])
            if pieces:
                self.assertEqual((pieces[0].after, pieces[-1].end.position), (mark, 8))
            upto = list(segments.frames_after(mark, until=5))
            self.assertEqual([each.end.position for each in upto], [5] if position < 5 else [])

    def test_a_mark_of_another_history_is_elsewhere(self) -> None:
        self.appended(1, 2)
        for mark in (
            LogPosition(1, b"x" * 32),
            LogPosition(9, b"x" * 32),
            LogPosition(0, b"x" * 32),
        ):
            with self.assertRaises(PositionNotFound):
                list(self.file_journal.frames_after(mark))

    def test_nothing_is_acknowledged_before_replicas_have_it_and_the_lease_is_good(self) -> None:
        replicas = Reluctant()
        self.file_journal.replicate_to(replicas)
        appending = self.begun(self.journal.append(a_commit(1)))
        self.clock.pump([0] * 9)
        replicas.copied.callback(None)
        self.clock.pump([0] * 9)
        self.assertNoResult(appending)
        self.assertEqual(self.journal.last_commit(), 0)
        replicas.confirmed.callback(None)
        self.assertEqual(self.successResultOf(appending), 1)

    def test_what_a_replaced_master_could_not_keep_is_cut_off(self) -> None:
        replicas = Reluctant()
        self.file_journal.replicate_to(replicas)
        appending = self.begun(self.journal.append(a_commit(1)))
        self.clock.pump([0] * 9)
        replicas.copied.callback(None)
        replicas.confirmed.errback(NotMaster("node2 is the master now"))
        self.clock.pump([0] * 9)
        self.failureResultOf(appending, CommitFailed)
        self.assertEqual((replicas.ends, self.replayed()), ([BEGINNING], []))
        self.failureResultOf(self.begun(self.journal.reopen()), NotMaster)

    def test_frames_of_another_copy_are_adopted(self) -> None:
        self.appended(1)
        other = self.file_journal
        self.appended(2, 3)
        self.disk = MemoryDisk()
        journal = self.opened()
        for piece in other.frames_after(BEGINNING):
            self.done(journal.adopt(piece.data, piece.end))
        self.assertEqual(list(journal.replay(0)), list(other.replay(0)))
        self.assertEqual(self.done(journal.append(a_commit(4))), 4)

    def test_frames_that_the_disk_does_not_take_are_not_adopted(self) -> None:
        self.appended(1)
        [piece] = self.file_journal.frames_after(BEGINNING)
        self.disk = MemoryDisk()
        journal = self.opened()
        self.disk.fail(self.disk.writes + 1)
        adopting = self.begun(journal.adopt(piece.data, piece.end))
        self.clock.pump([0] * 9)
        why = str(self.failureResultOf(adopting, CommitFailed).value)
        self.assertRegex(why, "commits of another copy cannot be adopted: the disk is full; free")
        self.assertEqual(self.opened().end_position(), BEGINNING)

    def test_a_closed_journal_has_kept_what_it_took(self) -> None:
        waiting = self.begun(self.journal.append(a_commit(1)))
        self.done(self.file_journal.close())
        self.assertEqual(self.successResultOf(waiting), 1)
        self.trouble(self.journal.append(a_commit(2)))


@implementer(IReplicas)
class Reluctant:
    """Replicas that keep frames, and confirm the lease, when they are told to."""

    def __init__(self) -> None:
        self.copied: Deferred[None] = Deferred()
        self.confirmed: Deferred[None] = Deferred()
        self.ends: list[LogPosition] = []

    async def store_frames(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        await self.copied

    async def confirm_lease(self) -> None:
        await self.confirmed

    async def probe(self) -> None:
        """They keep frames again at once."""

    def discard_after(self, end: LogPosition) -> None:
        self.ends.append(end)


class CrashTests(SynchronousTestCase):
    def test_a_crash_at_any_write_leaves_what_was_acknowledged_and_nothing_torn(self) -> None:
        for seed in range(120):
            random, clock = Random(seed), Clock()
            disk = MemoryDisk(random)
            disk.crash(at=1 + seed % 30)
            asked, acknowledged = crashing(disk, clock, random)
            files = MemoryFiles(disk.after_crash())
            opening = Deferred.fromCoroutine(FileJournal.open(files, FOLDER, clock))
            journal = self.successResultOf(opening)
            found = [commit for _, commit in journal.replay(0)]
            self.assertEqual(found, asked[: len(found)], f"seed {seed}")
            self.assertGreaterEqual(len(found), acknowledged, f"seed {seed}")


def crashing(disk: MemoryDisk, clock: Clock, random: Random) -> tuple[list[Commit], int]:
    """Append in groups of chance until ``disk`` crashes; in order, and how many were kept."""
    asked: list[Commit] = []
    acknowledged: list[int] = []
    files = MemoryFiles(disk, clock)
    opening = Deferred.fromCoroutine(FileJournal.open(files, FOLDER, clock, segment_size=3000))
    opening.addErrback(lambda failure: failure.trap(Crashed))
    clock.pump([0] * 9)
    journal = getattr(opening, "result", None)
    if not isinstance(journal, FileJournal):
        return [], 0
    while not disk.crashed:
        for _ in range(random.randint(1, 4)):
            asked.append(a_commit(len(asked), size=random.randint(0, 900)))
            appending = Deferred.fromCoroutine(journal.append(asked[-1]))
            appending.addCallback(acknowledged.append)
            appending.addErrback(lambda failure: failure.trap(CommitFailed))
        clock.pump([0] * random.randint(1, 9))
    clock.pump([0] * 9)
    return asked, len(acknowledged)


class LocalTests(SynchronousTestCase):
    def test_it_works_on_the_files_of_this_host(self) -> None:
        folder, clock = os.path.realpath(self.mktemp()), Clock()

        def opened() -> FileJournal:
            opening = FileJournal.open(LocalFiles(at_once), folder, clock)
            return self.successResultOf(Deferred.fromCoroutine(opening))

        journal = opened()
        for number in (1, 2):
            Deferred.fromCoroutine(journal.append(a_commit(number)))
        clock.advance(0)
        self.successResultOf(Deferred.fromCoroutine(journal.close()))
        self.assertEqual(list(opened().replay(0)), [(1, a_commit(1)), (2, a_commit(2))])
        self.assertNotEqual(opened().end_position(), BEGINNING)
