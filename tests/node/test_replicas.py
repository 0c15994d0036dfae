# SPDX-License-Identifier: BSD-2-Clause
"""A node's copy of the journal is what a master wrote, and never something in between."""

from __future__ import annotations

import errno
from base64 import b64encode
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.folder_lock import RETRY, wait_for_lock
from ganeti.journal.interfaces import BEGINNING, LogPosition
from ganeti.journal.marker import complete, read_marker
from ganeti.master.hand_edits import digest_of, is_edited
from ganeti.node.replicas import Replica, to_wire
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    OpenReplica,
    ReadFrames,
    ReplicaEnd,
    ResetReplica,
    StoreCheckpoint,
)
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from tests.contracts.journal import a_commit

T = TypeVar("T")

DATA = "/var/lib/ganeti"


def text(content: bytes) -> str:
    return b64encode(content).decode("ascii")


class ReplicaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.master = self.opened(MemoryDisk())
        self.disk = MemoryDisk()
        self.replica = Replica(MemoryFiles(self.disk), DATA, segment_size=1000)

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        waiting = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 5)
        return self.successResultOf(waiting)

    def refused(self, work: Coroutine[Deferred[Any], Any, object], why: str) -> None:
        failure = self.failureResultOf(Deferred.fromCoroutine(work), Failed)
        self.assertRegex(str(failure.value), why)

    def opened(self, disk: MemoryDisk) -> FileJournal:
        opening = FileJournal.open(MemoryFiles(disk), f"{DATA}/journal", self.clock)
        return self.done(opening)

    def committed(self, *numbers: int) -> None:
        for number in numbers:
            self.done(self.master.append(a_commit(number)))

    def frames(self, after: int, until: int) -> AppendFrames:
        mark = self.master.find_log_position(after)
        [piece] = self.master.frames_after(mark, until=until)
        return AppendFrames(after=to_wire(mark), frames=text(piece.data))

    def kept(self, after: int, until: int) -> ReplicaEnd:
        return self.done(self.replica.append_frames(self.frames(after, until)))

    def end(self) -> ReplicaEnd:
        return self.done(self.replica.describe(DescribeReplica()))

    def test_a_master_finds_what_a_candidate_kept(self) -> None:
        self.committed(*range(1, 10))
        self.kept(0, 4)
        self.assertEqual(self.kept(4, 9), to_wire(self.master.end_position()))
        journal = self.opened(self.disk)
        self.assertEqual(list(journal.replay(0)), list(self.master.replay(0)))
        self.assertEqual(journal.end_position(), self.master.end_position())

    def test_a_folder_that_a_master_daemon_uses_is_only_read(self) -> None:
        self.committed(1, 2)
        end = self.kept(0, 1)
        before = self.disk.contents()
        replica = Replica(MemoryFiles(self.disk), DATA, in_use=lambda: True)
        why = "a master daemon runs on this node"
        self.refused(replica.append_frames(self.frames(1, 2)), why)
        self.assertEqual(self.done(replica.describe(DescribeReplica())), end)
        batch = self.done(replica.read_frames(ReadFrames(after=to_wire(BEGINNING))))
        self.assertEqual((batch.frames, batch.end), (self.frames(0, 1).frames, end))
        self.assertEqual(self.disk.contents(), before)

    def test_a_node_daemon_can_stop_where_a_master_daemon_runs(self) -> None:
        started = False
        replica = Replica(MemoryFiles(self.disk), DATA, in_use=lambda: started)
        self.committed(1)
        self.done(replica.append_frames(self.frames(0, 1)))
        started = True
        self.done(replica.close())

    def test_what_does_not_follow_the_end_is_refused_and_nothing_kept(self) -> None:
        self.committed(1, 2, 3)
        self.kept(0, 1)
        self.refused(self.replica.append_frames(self.frames(2, 3)), "ends with commit 1")
        self.refused(self.replica.append_frames(self.frames(0, 1)), "ends with commit 1")
        self.assertEqual(self.end(), to_wire(self.master.find_log_position(1)))

    def test_frames_that_do_not_verify_are_refused(self) -> None:
        self.committed(1, 2)
        call = self.frames(0, 2)
        torn = AppendFrames(after=call.after, frames=call.frames[:-8])
        other = AppendFrames(after=to_wire(LogPosition(0, b"x" * 32)), frames=call.frames)
        nonsense = AppendFrames(after=call.after, frames="?")
        self.refused(self.replica.append_frames(torn), "incomplete")
        self.refused(self.replica.append_frames(other), "do not follow commit 0")
        self.refused(self.replica.append_frames(nonsense), "base64")
        self.assertEqual(self.end(), to_wire(BEGINNING))

    def test_what_was_never_acknowledged_is_cut_off_when_the_master_says_so(self) -> None:
        self.committed(1, 2, 3)
        self.kept(0, 3)
        mark = to_wire(self.master.find_log_position(1))
        self.assertEqual(
            self.done(self.replica.append_frames(AppendFrames(after=mark, frames="", cut=True))),
            mark,
        )
        self.assertEqual([n for n, _ in self.opened(self.disk).replay(0)], [1])
        foreign = AppendFrames(after=to_wire(LogPosition(1, b"x" * 32)), frames="", cut=True)
        self.refused(self.replica.append_frames(foreign), "another digest")

    def test_what_arrives_after_the_copy_was_opened_again_changes_nothing(self) -> None:
        self.committed(1, 2, 3, 4)
        self.kept(0, 3)
        mark = to_wire(self.master.find_log_position(1))
        early, late = (self.done(self.replica.open(OpenReplica())) for _ in range(2))
        calls = (
            self.replica.append_frames(AppendFrames(after=mark, frames="", cut=True, handle=early)),
            self.replica.append_frames(replace(self.frames(3, 4), handle=early)),
            self.replica.reset(ResetReplica(files={"config.data": ""}, end=mark, handle=early)),
        )
        for call in calls:
            self.refused(call, "the copy of the journal was opened again")
        self.assertEqual(self.end(), to_wire(self.master.find_log_position(3)))
        self.done(self.replica.append_frames(replace(self.frames(3, 4), handle=late)))
        self.assertEqual(self.end(), to_wire(self.master.end_position()))

    def test_no_earlier_call_is_at_work_when_the_copy_is_open(self) -> None:
        self.committed(1, 2)
        slow = Replica(MemoryFiles(MemoryDisk(), self.clock, latency=1.0), DATA)
        append = Deferred.fromCoroutine(slow.append_frames(self.frames(0, 2)))
        opened = Deferred.fromCoroutine(slow.open(OpenReplica()))
        while not append.called:
            self.assertNoResult(opened)
            self.clock.advance(1.0)
        self.successResultOf(append)
        self.successResultOf(opened)

    def test_a_handle_ends_with_its_daemon(self) -> None:
        self.committed(1)
        handle = self.done(self.replica.open(OpenReplica()))
        again = Replica(MemoryFiles(self.disk), DATA)
        call = replace(self.frames(0, 1), handle=handle)
        self.refused(again.append_frames(call), "the node daemon was started again")

    def test_a_full_disk_is_a_failure_and_goes_on_when_there_is_room(self) -> None:
        self.committed(1, 2)
        self.kept(0, 1)
        self.disk.break_down(errno.ENOSPC)
        self.refused(self.replica.append_frames(self.frames(1, 2)), "disk is full")
        self.disk.heal()
        self.assertEqual(self.end(), to_wire(self.master.find_log_position(1)))
        self.assertEqual(self.kept(1, 2), to_wire(self.master.end_position()))
        self.assertEqual(len(list(self.opened(self.disk).replay(0))), 2)

    def test_a_reset_replaces_the_copy_by_a_checkpoint(self) -> None:
        self.committed(1, 2, 3)
        self.kept(0, 1)
        files = MemoryFiles(self.disk)
        self.done(files.make_folder(f"{DATA}/queue/archive"))
        self.done(files.replace(f"{DATA}/queue/job-1", b"old"))
        self.done(files.replace(f"{DATA}/server.pem", b"key"))
        mark = to_wire(self.master.find_log_position(2))
        contents = {"config.data": text(b"new"), "queue/job-2": text(b"job")}
        self.assertEqual(
            self.done(self.replica.reset(ResetReplica(files=contents, end=mark))), mark
        )
        self.assertEqual(self.kept(2, 3), to_wire(self.master.end_position()))
        self.assertEqual(
            sorted(self.disk.contents()),
            [
                f"{DATA}/config.data",
                f"{DATA}/journal/checkpoint",
                f"{DATA}/journal/segment-{3:016}",
                f"{DATA}/queue/job-2",
                f"{DATA}/server.pem",
            ],
        )
        self.assertEqual(list(self.opened(self.disk).replay(2)), [(3, a_commit(3))])

    def test_earlier_marks_are_told(self) -> None:
        self.committed(1, 2, 3)
        self.kept(0, 3)
        for position in (0, 2, 3):
            self.assertEqual(
                self.done(self.replica.describe(DescribeReplica(at=position))),
                to_wire(self.master.find_log_position(position)),
            )
        self.refused(self.replica.describe(DescribeReplica(at=4)), "not in the journal")

    def test_a_damaged_copy_is_told_of_and_can_be_reset(self) -> None:
        self.committed(1, 2, 3)
        self.kept(0, 3)
        path = f"{DATA}/journal/segment-{1:016}"
        content = self.disk.contents()[path]
        self.disk.overwrite(path, content.replace(b"change 2", b"CHANGE 2"))
        replica = Replica(MemoryFiles(self.disk), DATA)
        self.refused(replica.describe(DescribeReplica()), "is damaged")
        files = {"config.data": text(b"new")}
        self.done(replica.reset(ResetReplica(files=files, end=to_wire(BEGINNING))))
        self.assertEqual(
            self.done(replica.append_frames(self.frames(0, 3))), to_wire(self.master.end_position())
        )

    def test_a_checkpoint_lets_segments_go(self) -> None:
        self.committed(*range(1, 20))
        for number in range(19):
            self.kept(number, number + 1)
        call = StoreCheckpoint(
            files={"config.data": text(b"new")}, end=to_wire(self.master.find_log_position(17))
        )
        self.assertEqual(
            self.done(self.replica.replace_checkpoint(call)), to_wire(self.master.end_position())
        )
        journal = self.opened(self.disk)
        self.assertGreater(journal.base_position(), 0)
        self.assertEqual([n for n, _ in journal.replay(17)], [18, 19])

    def test_a_master_that_starts_waits_for_what_is_being_written(self) -> None:
        # Each write takes a second; a late one would end behind those of the master.
        self.committed(1)
        self.disk.add_folder(DATA, 0o755)
        self.disk.stall = 1.0
        slow = MemoryFiles(self.disk, self.clock)
        self.replica = Replica(slow, DATA, in_use=lambda: started)
        started = False
        keeping = Deferred.fromCoroutine(self.replica.append_frames(self.frames(0, 1)))
        self.clock.advance(0.5)
        started = True
        starting = Deferred.fromCoroutine(wait_for_lock(slow, DATA, self.clock))
        while not keeping.called:
            self.assertNoResult(starting)
            self.clock.advance(RETRY)
        self.clock.advance(RETRY)
        self.successResultOf(starting)
        self.assertEqual(self.successResultOf(keeping), to_wire(self.master.end_position()))
        # Also if the node daemon does not see its pid file yet.
        started = False
        self.refused(self.replica.append_frames(self.frames(0, 1)), "a master daemon runs")

    def test_a_checkpoint_is_given_up_for_a_master_that_starts(self) -> None:
        self.committed(1, 2)
        self.kept(0, 2)
        self.disk.stall = 1.0
        started = False
        self.replica = Replica(MemoryFiles(self.disk, self.clock), DATA, in_use=lambda: started)
        many = {f"queue/job-{number}": "" for number in range(200)}
        call = StoreCheckpoint(
            files={"config.data": text(b"new"), **many}, end=to_wire(self.master.end_position())
        )
        writing = Deferred.fromCoroutine(self.replica.replace_checkpoint(call))
        self.clock.pump([0.1] * 100)
        started = True
        self.clock.pump([0.1] * 700)
        failure = self.failureResultOf(writing, Failed)
        self.assertIn("a master daemon runs", str(failure.value))
        self.assertLess(len(self.disk.names(f"{DATA}/queue")), 100)
        # The master that waited can go on: the marker says what the files may contain.
        self.assertIsNotNone(MemoryFiles(self.disk).lock_folder(DATA))
        self.assertEqual(self.opened(self.disk).end_position(), self.master.end_position())

    def test_a_node_daemon_that_does_not_finish_is_named(self) -> None:
        files = MemoryFiles(self.disk, self.clock)
        self.done(files.make_folder(DATA))
        self.assertIsNotNone(files.lock_folder(DATA))
        starting = Deferred.fromCoroutine(wait_for_lock(files, DATA, self.clock))
        self.clock.pump([1.0] * 62)
        why = str(self.failureResultOf(starting, Failed).value)
        self.assertRegex(why, "has not finished to write in /var/lib/ganeti within 60 seconds")

    def test_what_is_no_checkpoint_destroys_nothing(self) -> None:
        self.committed(1, 2)
        self.kept(0, 2)
        before, end = self.disk.contents(), to_wire(self.master.find_log_position(1))
        for files in ({}, {"queue/job-1": ""}, {"config.data": "?"}, {"config.data": "", "/x": ""}):
            self.refused(self.replica.reset(ResetReplica(files=files, end=end)), ".")
        no_mark = ResetReplica(files={"config.data": ""}, end=ReplicaEnd(position=1, digest="x"))
        self.refused(self.replica.reset(no_mark), "malformed log position")
        self.assertEqual(self.disk.contents(), before)

    def test_what_a_checkpoint_holds_cannot_be_cut_off(self) -> None:
        self.committed(*range(1, 6))
        self.kept(0, 5)
        mark = to_wire(self.master.find_log_position(4))
        call = StoreCheckpoint(files={"config.data": text(b"new")}, end=mark)
        self.done(self.replica.replace_checkpoint(call))
        cut = AppendFrames(after=to_wire(self.master.find_log_position(3)), frames="", cut=True)
        self.refused(self.replica.append_frames(cut), "contains commits up to 4")
        self.done(self.replica.append_frames(AppendFrames(after=mark, frames="", cut=True)))

    def test_a_checkpoint_that_a_crash_interrupted_counts_as_written(self) -> None:
        self.committed(*range(1, 6))
        self.kept(0, 5)
        call = StoreCheckpoint(
            files={"config.data": text(b"new")}, end=to_wire(self.master.find_log_position(4))
        )
        self.disk.crash(at=self.disk.writes + 2)
        Deferred.fromCoroutine(self.replica.replace_checkpoint(call)).addErrback(lambda _: None)
        self.replica = Replica(MemoryFiles(self.disk.after_crash()), DATA, segment_size=1000)
        cut = AppendFrames(after=to_wire(self.master.find_log_position(3)), frames="", cut=True)
        self.refused(self.replica.append_frames(cut), "contains commits up to 4")

    def test_a_checkpoint_that_a_crash_interrupted_is_not_taken_for_an_edit(self) -> None:
        # This node was the master before: its marker identifies the config.data that it wrote.
        self.committed(*range(1, 6))
        mark = complete(self.master.find_log_position(2), (digest_of(b"old"),))
        call = StoreCheckpoint(
            files={"config.data": text(b"new")}, end=to_wire(self.master.find_log_position(4))
        )
        found = set()
        for writes in range(1, 9):
            self.disk = MemoryDisk()
            files = MemoryFiles(self.disk)
            self.replica = Replica(files, DATA, segment_size=1000)
            self.kept(0, 5)
            self.done(files.replace(f"{DATA}/config.data", b"old"))
            self.done(files.replace(f"{DATA}/journal/checkpoint", mark))
            self.disk.crash(at=self.disk.writes + writes)
            Deferred.fromCoroutine(self.replica.replace_checkpoint(call)).addErrback(lambda _: None)
            files = MemoryFiles(self.disk.after_crash())
            content = files.read(f"{DATA}/config.data")
            marker = read_marker(files, f"{DATA}/journal/checkpoint")
            self.assertFalse(is_edited(content, marker.config_digests), f"after {writes} writes")
            found.add((content, len(marker.config_digests)))
        self.assertEqual(found, {(b"old", 1), (b"old", 2), (b"new", 2), (b"new", 0)})

    def test_a_new_master_reads_what_it_lacks(self) -> None:
        self.committed(*range(1, 6))
        self.kept(0, 5)
        batch = self.done(
            self.replica.read_frames(ReadFrames(after=to_wire(self.master.find_log_position(2))))
        )
        self.assertEqual(batch.frames, self.frames(2, 5).frames)
        self.assertEqual(batch.end, to_wire(self.master.end_position()))
        batch = self.done(self.replica.read_frames(ReadFrames(after=batch.end)))
        self.assertEqual(batch.frames, "")

    def test_a_file_cannot_be_outside_of_the_data_folder(self) -> None:
        for name in ("/etc/passwd", "../passwd", "queue/../../passwd", ".", ""):
            call = ResetReplica(files={name: ""}, end=to_wire(BEGINNING))
            self.refused(self.replica.reset(call), "invalid file name")
        self.assertEqual(self.disk.contents(), {})

    def test_a_copy_that_a_master_wrote_on_meanwhile_is_read_again(self) -> None:
        self.committed(1)
        self.kept(0, 1)
        here = self.opened(self.disk)
        self.done(here.append(a_commit(2)))
        self.assertEqual(self.end(), to_wire(here.end_position()))


class CheckpointFileTests(SynchronousTestCase):
    def test_a_checkpoint_has_no_other_files_than_its_own(self) -> None:
        end = {"position": 0, "digest": "00" * 32}
        for name in ("config.data", "queue/job-7", "queue/serial", "journal/checkpoint"):
            read = msgspec.convert({"files": {name: ""}, "end": end}, ResetReplica)
            self.assertEqual(list(read.files), [name])
        for name in (
            "ca.key",
            "server.pem",
            "members",
            "queue/../ca.key",
            "/config.data",
            "queue/x",
        ):
            for call in (ResetReplica, StoreCheckpoint):
                with self.assertRaises(msgspec.ValidationError):
                    msgspec.convert({"files": {name: ""}, "end": end}, call)
