# SPDX-License-Identifier: BSD-2-Clause
"""The history says who changed what, as far as the journal and the queue reach back."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.record_codec import encoder
from ganeti.errors import Invalid
from ganeti.jobs.job import Job, QueuedOpcode, encode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.jobs.submission import new_job
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import Append, Commit, Delete, Edit, Put
from ganeti.master.access.audit_trail import AuditEntry
from ganeti.master.access.change_history import (
    LOCAL,
    MAX_CHANGES,
    MAX_LIMIT,
    SLICE,
    TRAIL,
    Changed,
    History,
    HistoryEntry,
    submitter,
)
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.schema.records import replace
from ganeti.testing.builders import an_instance, uuid_of
from ganeti.testing.disk import MemoryDisk, MemoryFiles


def a_job(number: int, user: str = "", name: str = "web1", at: float = 50.0) -> Job:
    """A job that stops an instance, on behalf of a user of the remote API if there is one."""
    trail = ((TRAIL + user, "from 192.0.2.7", 1),) if user else ()
    return new_job(number, [ShutdownInstance(instance_name=name, reason=trail)], at)


def changed(name: str = "web1", serial_no: int = 2) -> Put:
    """The edit of an instance; the serial number 1 is that of a new one."""
    instance = an_instance(name, serial_no=serial_no).instance
    return Put(kind="instance", key=instance.uuid, value=msgspec.Raw(encoder.encode(instance)))


def audited(who: str, what: str, **over: Any) -> Append:
    entry = AuditEntry(at=5.0, who=who, what=what, **over)
    return Append(kind="audit", key="", value=msgspec.Raw(msgspec.json.encode(entry)))


class HistoryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        files = MemoryFiles(MemoryDisk(), self.clock)
        self.journal = self.finish(FileJournal.open(files, "/data/journal", self.clock))
        self.jobs: list[Job] = []
        self.archive: dict[int, Job] = {}
        self.history = History(self.journal, self.clock, lambda: self.jobs, self.archive.get)

    def finish(self, work: Any) -> Any:
        begun = Deferred.fromCoroutine(work)
        self.clock.pump([0] * 20)
        return self.successResultOf(begun)

    def commit(self, *edits: Edit, why: str = "test", **over: Any) -> None:
        fields: dict[str, Any] = {"at": 1.0, "who": "ganeti-masterd", **over}
        self.finish(self.journal.append(Commit(why=why, edits=edits, **fields)))

    def submit(self, job: Job, at: float = 1.0) -> None:
        raw = Put(kind="job", key=str(job.id), value=msgspec.Raw(encode(job)))
        self.commit(raw, why="submitted", at=at)

    def query(self, **filters: Any) -> list[HistoryEntry]:
        found: list[HistoryEntry] = self.finish(self.history.query_history(**filters))
        return found


class EntryTests(HistoryCase):
    def test_a_change_names_its_author_its_reason_and_its_objects(self) -> None:
        self.commit(changed(serial_no=1), changed("db1"), who="admin", why="adopted", at=3.0)
        new, other = (uuid_of("instance", name) for name in ("web1", "db1"))
        expected = HistoryEntry(
            position=1,
            at=3.0,
            user="admin",
            how="",
            what="adopted",
            job=None,
            denied=False,
            count=1,
            changes=(
                Changed(kind="instance", action="created", name="web1", uuid=new),
                Changed(kind="instance", action="changed", name="db1", uuid=other),
            ),
        )
        self.assertEqual(self.query(), [expected])

    def test_the_change_of_a_job_is_by_the_user_that_submitted_it(self) -> None:
        self.submit(a_job(7, "oli"))
        self.commit(changed(), job=7, why="OP_INSTANCE_SHUTDOWN")
        change, submission = self.query()
        for entry in (change, submission):
            self.assertEqual((entry.user, entry.how, entry.job), ("oli", "from 192.0.2.7", 7))
        self.assertEqual(submission.what, "INSTANCE_SHUTDOWN(web1)")
        about = Changed(kind="job", action="submitted", name="web1")
        self.assertEqual(submission.changes, (about,))

    def test_the_submitter_of_an_older_job_is_looked_up(self) -> None:
        self.archive[7] = a_job(7, "oli")
        self.commit(changed(), job=7)
        self.commit(changed(), job=8)
        self.assertEqual([entry.user for entry in self.query()], [LOCAL, "oli"])

    def test_a_removed_object_is_named_by_its_uuid(self) -> None:
        self.commit(Delete(kind="instance", key="u-1"))
        [entry] = self.query()
        self.assertEqual(entry.changes, (Changed(kind="instance", action="removed", uuid="u-1"),))

    def test_a_change_of_a_user_is_told_by_the_kind_of_the_record(self) -> None:
        self.commit(Delete(kind="user", key="ann"))
        [[change]] = [entry.changes for entry in self.query()]
        self.assertEqual((change.kind, change.action), ("user", "removed"))

    def test_of_very_many_changed_objects_some_are_listed(self) -> None:
        self.commit(*(changed(f"web{number}") for number in range(MAX_CHANGES + 9)))
        self.assertEqual(len(self.query()[0].changes), MAX_CHANGES)

    def test_denials_have_their_reason_and_are_counted(self) -> None:
        denial = audited("ann", "GET /2/nodes", why="no role", denied=True, count=3)
        self.commit(audited("oli", "signed in", how="from 192.0.2.7"), denial, why="audit")
        said = [(e.user, e.what, e.denied, e.count) for e in self.query()]
        expected = ("ann", "GET /2/nodes: no role", True, 3), ("oli", "signed in", False, 1)
        self.assertCountEqual(said, expected)
        self.assertEqual({e.at for e in self.query()}, {5.0})

    def test_what_the_daemon_does_all_the_time_is_left_out(self) -> None:
        for why in ("the last uses of tokens", "the progress of notifications"):
            self.commit(changed(), why=why)
        self.commit(Put(kind="job", key="7", value=msgspec.Raw(encode(a_job(7)))), why="started")
        self.assertEqual(self.query(), [])

    def test_a_submission_of_another_version_is_left_out(self) -> None:
        self.commit(Put(kind="job", key="7", value=msgspec.Raw(b'{"of": "old"}')), why="submitted")
        self.assertEqual(self.query(), [])


class FilterTests(HistoryCase):
    def setUp(self) -> None:
        super().setUp()
        for number, name in ((1, "web1"), (2, "db1"), (3, "web1")):
            self.commit(changed(name), at=float(number), who=f"user{number}", why=f"why {number}")

    def times(self, **filters: Any) -> list[float]:
        return [entry.at for entry in self.query(**filters)]

    def test_the_newest_are_first(self) -> None:
        self.assertEqual(self.times(), [3, 2, 1])

    def test_a_limit_keeps_the_newest(self) -> None:
        self.assertEqual(self.times(limit=2), [3, 2])
        self.jobs = [a_job(9, at=2.5)]
        self.assertEqual(self.times(limit=2), [3, 2.5])

    def test_a_limit_out_of_range_is_refused(self) -> None:
        for limit in (0, -1, MAX_LIMIT + 1):
            query = self.history.query_history(limit=limit)
            refused = self.failureResultOf(query, Invalid).value
            self.assertIn(f"limit must be from 1 to {MAX_LIMIT}", str(refused))
        self.assertEqual(len(self.times(limit=MAX_LIMIT)), 3)

    def test_the_limits_of_the_time_are_included(self) -> None:
        self.assertEqual(self.times(since=2.0), [3, 2])
        self.assertEqual(self.times(until=2.0), [2, 1])
        self.assertEqual(self.times(since=2.0, until=2.0), [2])

    def test_entries_of_one_user(self) -> None:
        self.assertEqual(self.times(user="user2"), [2])
        self.assertEqual(self.times(user="user"), [])

    def test_entries_about_an_object_are_found_by_name_and_by_uuid(self) -> None:
        self.assertEqual(self.times(name="web1"), [3, 1])
        self.assertEqual(self.times(name=uuid_of("instance", "db1")), [2])

    def test_an_action_is_about_the_whole_words_in_it(self) -> None:
        self.commit(audited("ann", "RENAME(old1,new1)"), why="audit")
        for name, count in (("old1", 1), ("new1", 1), ("new", 0)):
            self.assertEqual(len(self.query(name=name)), count, name)

    def test_denials_can_be_left_out(self) -> None:
        self.commit(audited("ann", "GET", denied=True), why="audit")
        self.assertEqual(self.times(denials=False), [3, 2, 1])


class ReachTests(HistoryCase):
    def test_jobs_of_the_queue_that_the_journal_has_let_go_are_told(self) -> None:
        self.jobs = [a_job(1, "oli", at=0.25), a_job(2, "oli")]
        self.submit(self.jobs[1], at=3.0)
        newer, older = self.query(user="oli")
        self.assertEqual((newer.job, newer.at, newer.position), (2, 3.0, 1))
        self.assertEqual((older.job, older.at, older.position), (1, 0.25, 0))

    def test_a_journal_whose_beginning_is_gone_is_read_from_there(self) -> None:
        self.commit(changed(), at=1.0)
        self.finish(self.journal.rotate())
        self.commit(changed(), at=2.0)
        self.finish(self.journal.remove_before(2))
        self.assertEqual([entry.at for entry in self.query()], [2.0])

    def test_other_work_has_a_turn_while_much_is_read(self) -> None:
        for number in range(SLICE + 1):
            self.commit(changed(), at=float(number))
        waiting = Deferred.fromCoroutine(self.history.query_history())
        self.assertNoResult(waiting)
        self.clock.advance(0)
        self.assertEqual(len(self.successResultOf(waiting)), SLICE + 1)

    def test_one_query_is_read_at_a_time(self) -> None:
        for number in range(SLICE):
            self.commit(changed(), at=float(number))
        waiting = [Deferred.fromCoroutine(self.history.query_history()) for _ in range(2)]
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([0] * 4)
        self.assertEqual([len(self.successResultOf(each)) for each in waiting], [SLICE, SLICE])

    def test_a_checkpoint_meanwhile_ends_the_reading_with_what_was_read(self) -> None:
        count = 9 * SLICE  # so that the checkpoint is faster
        for number in range(count):
            self.commit(changed(), at=float(number))
        for number in (count, count + 1):
            self.finish(self.journal.rotate())
            self.commit(changed(), at=float(number))
        waiting = Deferred.fromCoroutine(self.history.query_history(limit=MAX_LIMIT))
        self.finish(self.journal.remove_before(count + 2))
        times = [entry.at for entry in self.successResultOf(waiting)]
        self.assertEqual((times[0], times[-1], len(times)), (count - 1, 0, count))


class SubmitterTests(SynchronousTestCase):
    def test_a_job_of_a_local_program_is_local(self) -> None:
        self.assertEqual(submitter(a_job(1)), (LOCAL, ""))
        self.assertEqual(submitter(replace(a_job(1), ops=())), (LOCAL, ""))

    def test_the_first_entry_of_the_gate_counts(self) -> None:
        trail = ("gnt:user", "why", 1), (TRAIL + "ann", "by token t1", 2), (TRAIL + "eve", "", 3)
        opcode = ShutdownInstance(instance_name="web1", reason=trail)
        self.assertEqual(submitter(new_job(1, [opcode], 0.0)), ("ann", "by token t1"))

    def test_a_job_of_another_version_is_local(self) -> None:
        unknown = QueuedOpcode(input=OpcodeInput(b'{"OP_ID":"OP_OTHER"}'))
        self.assertEqual(submitter(Job(id=1, ops=(unknown,))), (LOCAL, ""))
