# SPDX-License-Identifier: BSD-2-Clause
"""Jobs in the journal: what is written, what readers see, and what a replay gives back."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed
from ganeti.jobs.job import TRANSITIONS, Job, JobEvent, JobStatus, QueuedOpcode
from ganeti.jobs.job_store import JobStore, UnwrittenJobs
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.journal.interfaces import Append, Delete, Put
from tests.jobs.rig import NOW, SyncedJournal, an_opcode


def a_job(number: int = 1, opcodes: int = 1) -> Job:
    op = QueuedOpcode(input=OpcodeInput.from_opcode(an_opcode()))
    return Job(id=number, ops=(op,) * opcodes)


class StoreTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = SyncedJournal()
        self.store = JobStore(self.journal, lambda: NOW)

    def keep(self, job: Job) -> Job:
        self.successResultOf(self.store.save_job(job, why="test"))
        return job

    def replayed(self) -> JobStore:
        """The store of the next master."""
        store = JobStore(self.journal, lambda: NOW)
        for _, commit in self.journal.replay(0):
            for edit in commit.edits:
                store.replay(edit)
        return store


class CommitTests(StoreTestCase):
    def test_readers_see_what_is_durable(self) -> None:
        self.journal.waits = True
        seen: list[Job] = []
        self.store.observe(seen.append)
        keeping = Deferred.fromCoroutine(self.store.save_job(a_job(), why="test"))
        self.assertEqual((dict(self.store.jobs), seen), ({}, []))
        self.journal.sync()
        self.successResultOf(keeping)
        self.assertEqual((dict(self.store.jobs), seen), ({1: a_job()}, [a_job()]))

    def test_what_is_not_kept_is_not_seen(self) -> None:
        self.journal.break_down()
        self.failureResultOf(self.store.save_job(a_job(), why="test"), CommitFailed)
        self.failureResultOf(self.store.set_drained(True), CommitFailed)
        self.assertEqual((dict(self.store.jobs), self.store.drained), ({}, False))

    def test_new_jobs_come_with_the_last_id(self) -> None:
        jobs = [a_job(number) for number in self.store.new_ids(2)]
        self.successResultOf(self.store.persist_new(jobs, who="client"))
        [commit] = self.journal.commits
        kinds = [(type(edit), edit.kind, edit.key) for edit in commit.edits]
        self.assertEqual(kinds, [(Put, "job", "1"), (Put, "job", "2"), (Put, "queue", "serial")])
        self.assertEqual((commit.who, self.replayed().serial), ("client", 2))

    def test_messages_are_appended_once_and_moves_do_not_repeat_them(self) -> None:
        job = self.keep(a_job()).with_message(0, NOW, "message", "one")
        self.successResultOf(self.store.persist_messages(job))
        self.successResultOf(self.store.persist_messages(job))
        job = self.keep(job.after(JobEvent.PICKED, NOW).with_message(0, NOW, "message", "two"))
        edits = [edit for commit in self.journal.commits for edit in commit.edits]
        self.assertEqual([type(edit) for edit in edits], [Put, Append, Put, Append])
        assert isinstance(edits[2], Put)
        self.assertEqual(msgspec.json.decode(edits[2].value)["ops"][0]["log"], [])
        self.assertEqual(self.store.jobs[1], job)
        self.assertEqual(self.replayed().jobs[1], job)

    def test_messages_alone_show_no_move(self) -> None:
        job = self.keep(a_job()).after(JobEvent.PICKED, NOW).with_message(0, NOW, "message", "one")
        self.successResultOf(self.store.persist_messages(job))
        self.assertEqual(self.store.jobs[1].status, JobStatus.QUEUED)
        self.assertEqual(self.store.jobs[1].log_serial, 1)

    def test_messages_that_were_not_kept_come_with_the_next_commit(self) -> None:
        job = self.keep(a_job()).with_message(0, NOW, "message", "one")
        self.journal.break_down()
        self.failureResultOf(self.store.persist_messages(job), CommitFailed)
        self.journal.heal()
        self.successResultOf(self.journal.reopen())
        self.keep(job)
        self.assertEqual(self.replayed().jobs[1], job)

    def test_messages_of_a_move_that_was_not_kept_come_with_the_next_commit(self) -> None:
        job = self.keep(a_job()).after(JobEvent.PICKED, NOW).with_message(0, NOW, "message", "one")
        self.journal.break_down()
        self.failureResultOf(self.store.save_job(job, why="test"), CommitFailed)
        self.journal.heal()
        self.successResultOf(self.journal.reopen())
        self.keep(job)
        self.assertEqual(self.replayed().jobs[1], job)

    def test_a_dropped_job_is_gone(self) -> None:
        self.keep(a_job())
        self.successResultOf(self.store.delete_jobs([1]))
        self.assertEqual(self.journal.commits[-1].edits, (Delete(kind="job", key="1"),))
        self.assertEqual((dict(self.store.jobs), dict(self.replayed().jobs)), ({}, {}))


class FilesTests(StoreTestCase):
    def test_changes_are_handed_over_once(self) -> None:
        one, two = self.keep(a_job(1)), self.keep(a_job(2))
        self.successResultOf(self.store.delete_jobs([1]))
        self.assertEqual(self.store.pop_changes(), UnwrittenJobs({2: two}, {one.id}))
        self.assertEqual(self.store.pop_changes(), UnwrittenJobs())

    def test_changes_that_were_not_written_come_back_below_newer_ones(self) -> None:
        old, other, gone = self.keep(a_job(1)), self.keep(a_job(2)), self.keep(a_job(3))
        changed = self.store.pop_changes()
        new = self.keep(old.after(JobEvent.PICKED, NOW))
        self.successResultOf(self.store.delete_jobs([gone.id]))
        self.store.restore_unwritten(changed)
        self.assertEqual(self.store.pop_changes(), UnwrittenJobs({1: new, 2: other}, {3}))

    def test_a_replay_over_files_that_are_newer_changes_nothing(self) -> None:
        job = self.keep(a_job()).with_message(0, NOW, "message", "one")
        job = self.keep(job.after(JobEvent.PICKED, NOW))
        store = JobStore(self.journal, lambda: NOW)
        store.load([job], 7, True)
        for _, commit in self.journal.replay(0):
            for edit in commit.edits:
                store.replay(edit)
        self.assertEqual(dict(store.jobs), {1: job})
        self.assertEqual((store.serial, store.drained), (7, True))


steps = st.lists(
    st.one_of(st.sampled_from(JobEvent), st.text(max_size=3), st.sampled_from(["keep", "say"])),
    max_size=30,
)


class ReplayTests(StoreTestCase):
    @settings(max_examples=80, deadline=None)
    @given(steps)
    def test_a_replay_gives_back_what_readers_saw(self, what: list[JobEvent | str]) -> None:
        self.setUp()
        job = self.keep(a_job(opcodes=2))
        for step in what:
            index = job.current
            if isinstance(step, JobEvent):
                if index is not None and (job.ops[index].status, step) in TRANSITIONS:
                    job = job.after(step, NOW)
            elif step == "keep":
                self.keep(job)
            elif step == "say":
                self.successResultOf(self.store.persist_messages(job))
            else:
                job = job.with_message(index or 0, NOW, "message", step)
        self.assertEqual(dict(self.replayed().jobs), dict(self.store.jobs))
