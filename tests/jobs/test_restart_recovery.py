# SPDX-License-Identifier: BSD-2-Clause
"""Restarts, crashes and a broken journal: nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed, Failed
from ganeti.jobs.job import Job, JobStatus, QueuedOpcode, decode, encode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.jobs.restart_recovery import recovered
from ganeti.jobs.runner import OpcodeResult, OpcodeTask
from ganeti.journal.interfaces import Commit, Edit
from tests.jobs.rig import NOW, Rig, SyncedJournal, an_opcode
from tests.jobs.test_queued_opcode import with_secret


def a_job(*statuses: JobStatus) -> Job:
    ops = tuple(
        QueuedOpcode(input=OpcodeInput.from_opcode(an_opcode()), status=status)
        for status in statuses
    )
    return Job(id=1, ops=ops)


class RecoveredTests(SynchronousTestCase):
    def statuses(self, *before: JobStatus) -> list[str] | None:
        after = recovered([a_job(*before)], NOW)
        return [op.status.value for op in after[0].ops] if after else None

    def test_what_was_queued_or_had_ended_stays_as_it_is(self) -> None:
        for before in (JobStatus.QUEUED, JobStatus.SUCCESS, JobStatus.ERROR, JobStatus.CANCELED):
            self.assertIsNone(self.statuses(before))

    def test_what_waited_is_queued_again(self) -> None:
        self.assertEqual(self.statuses(JobStatus.WAITING), ["queued"])
        self.assertEqual(self.statuses(JobStatus.SUCCESS, JobStatus.WAITING), ["success", "queued"])

    def test_what_was_to_be_canceled_is(self) -> None:
        self.assertEqual(
            self.statuses(JobStatus.CANCELING, JobStatus.QUEUED), ["canceled", "canceled"]
        )

    def test_what_ran_ends_in_error_and_says_what_was_under_way(self) -> None:
        job = a_job(JobStatus.SUCCESS, JobStatus.RUNNING, JobStatus.QUEUED)
        [after] = recovered([job.with_message(1, NOW, "message", "step 3")], NOW)
        self.assertEqual([op.status.value for op in after.ops], ["success", "error", "error"])
        text = (
            "the master daemon restarted while TEST_DELAY(0.0) was running; its last message was:"
            " step 3; check what the opcode has changed before you submit the job again"
        )
        self.assertEqual(after.ops[1].result, ["OpExecError", [text]])

    def test_a_job_whose_secrets_are_gone_says_so(self) -> None:
        job = Job(id=1, ops=(QueuedOpcode(input=OpcodeInput.from_opcode(with_secret())),))
        [after] = recovered([decode(encode(job))], NOW)
        self.assertEqual(after.status, JobStatus.ERROR)
        self.assertIn("secret parameters", after.ops[0].result[1][0])


class RestartTests(SynchronousTestCase):
    def test_everything_acknowledged_is_there_and_ends(self) -> None:
        rig = Rig()
        rig.max_running = 2
        for act in ("lock", "lock", "", "sleep"):
            rig.submit(act)
        rig.turn()
        self.assertEqual(
            [rig.status(n) for n in (1, 2, 3, 4)], ["running", "waiting", "queued", "queued"]
        )
        after = rig.restarted()
        after.settle()
        self.assertEqual(
            [after.status(n) for n in (1, 2, 3, 4)], ["error", "success", "success", "success"]
        )
        self.assertEqual(after.submit(), 5)

    def test_a_daemon_that_stops_interrupts_what_runs(self) -> None:
        rig = Rig()
        for act in ("lock", "lock", "sleep"):
            rig.submit(act, "")
        rig.turn()
        rig.stop()
        self.assertEqual([rig.status(n) for n in (1, 2, 3)], ["error", "waiting", "error"])
        self.assertEqual(
            rig.results(1)[0],
            ["OpExecError", ["interrupted by the shutdown of the master daemon"]],
        )
        self.assertEqual((rig.locks.rows(), rig.clock.getDelayedCalls()), ([], []))
        after = rig.restarted()
        after.settle()
        self.assertEqual(after.status(2), "success")

    def test_what_runs_may_end_before_a_daemon_stops_but_nothing_more_is_started(self) -> None:
        rig = Rig()
        for acts in (("lock", ""), ("lock",), ("sleep",)):
            rig.submit(*acts)
        rig.turn()
        rig.stop(grace=10.5)
        self.assertEqual(rig.results(1), [None, None])
        self.assertEqual([rig.status(n) for n in (1, 2, 3)], ["queued", "waiting", "success"])
        self.assertEqual((rig.locks.rows(), rig.clock.getDelayedCalls()), ([], []))
        after = rig.restarted()
        after.settle()
        self.assertEqual([after.status(n) for n in (1, 2)], ["success", "success"])

    def test_what_runs_for_longer_is_interrupted_and_so_is_all_without_a_journal(self) -> None:
        rig = Rig()
        rig.submit("sleep")
        rig.turn()
        rig.stop(grace=9.5)
        self.assertIn("interrupted by the shutdown", str(rig.results(1)))

    def test_an_opcode_of_another_version_ends_its_job_with_a_reason(self) -> None:
        rig = Rig()
        raw = b'{"OP_ID": "OP_OLD_THING"}'
        rig.store.load([Job(id=1, ops=(QueuedOpcode(input=OpcodeInput(raw)),))], 1, False)
        Deferred.fromCoroutine(rig.queue.start())
        rig.settle()
        self.assertIn("unknown opcode OP_OLD_THING", rig.results(1)[0][1][0])


class BrokenJournalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rig = Rig()
        self.rig.journal.waits = True
        self.journal = self.rig.journal

    def heal(self) -> None:
        self.journal.heal()
        self.rig.settle()

    def break_next_sync(self) -> None:
        self.journal.break_down()
        self.journal.sync()

    def test_a_job_does_not_run_while_that_cannot_be_kept(self) -> None:
        acted: list[int] = []

        async def act(task: OpcodeTask) -> None:
            await task.locked()
            acted.append(task.job_id)

        self.rig.acts["act"] = act
        self.rig.submit("act")
        self.rig.turn()
        self.break_next_sync()
        self.rig.clock.advance(100)
        self.assertEqual((acted, self.rig.status(1)), ([], "queued"))
        self.heal()
        self.assertEqual((acted, self.rig.status(1)), ([1], "success"))

    def test_a_cancel_while_a_run_that_was_not_kept_lets_go_is_heard(self) -> None:
        async def slow(task: OpcodeTask) -> None:
            try:
                await task.locked()
            except CommitFailed:
                with contextlib.suppress(CancelledError):
                    await deferLater(self.rig.clock, 5)
                raise

        self.rig.acts["slow"] = slow
        self.rig.submit("slow")
        self.rig.turn()
        self.break_next_sync()
        self.journal.heal()
        self.rig.clock.advance(1)
        Deferred.fromCoroutine(self.rig.queue.cancel(1))
        self.rig.settle()
        self.assertEqual((self.rig.status(1), self.rig.ran), ("canceled", [1]))
        self.assertEqual(self.rig.restarted().status(1), "canceled")

    def test_an_end_is_kept_as_soon_as_the_journal_works(self) -> None:
        self.rig.submit("", "")
        self.rig.turn()
        self.journal.sync()
        self.break_next_sync()
        self.rig.clock.advance(5)
        self.assertEqual(self.rig.status(1), "running")
        self.heal()
        self.assertEqual((self.rig.status(1), self.rig.ran), ("success", [1, 1]))

    def test_nothing_starts_while_the_journal_is_broken(self) -> None:
        self.rig.submit("sleep")
        queued = self.rig.submit()
        self.rig.max_running = 1
        self.rig.turn()
        self.journal.sync()
        self.journal.break_down()
        self.rig.clock.advance(10)
        self.journal.sync()
        self.rig.clock.advance(60)
        self.assertEqual((self.rig.ran, self.rig.status(queued)), ([1], "queued"))
        self.heal()
        self.assertEqual((self.rig.status(1), self.rig.status(queued)), ("success", "success"))

    def test_messages_are_kept_later(self) -> None:
        async def talk(task: OpcodeTask) -> None:
            await task.locked()
            task.log_message("one")
            await deferLater(self.rig.clock, 5)
            task.log_message("two")
            await deferLater(self.rig.clock, 500)

        self.rig.acts["talk"] = talk
        self.rig.submit("talk")
        self.rig.turn()
        self.journal.sync()
        self.rig.turn()
        self.break_next_sync()
        self.rig.clock.advance(5)
        self.assertEqual(self.rig.queue.job(1).log_after(None), [])
        self.heal()
        said = [entry[3] for entry in self.rig.queue.job(1).log_after(None)]
        self.assertEqual(said, ["one", "two"])
        self.assertEqual(self.rig.restarted().queue.job(1), self.rig.queue.job(1))

    def test_a_cancel_that_is_not_kept_did_not_happen(self) -> None:
        self.rig.max_running = 0
        self.rig.submit()
        canceled = Deferred.fromCoroutine(self.rig.queue.cancel(1))
        self.break_next_sync()
        self.failureResultOf(canceled, CommitFailed)
        self.rig.max_running = 1
        self.heal()
        self.assertEqual(self.rig.status(1), "success")

    def test_a_hopeless_job_ends_once_that_can_be_kept(self) -> None:
        self.rig.submit("sleep")
        self.rig.submit(depends=((1, ("error",)),))
        self.rig.turn()
        self.journal.sync()
        self.rig.clock.advance(10)
        self.journal.sync()
        self.assertEqual([self.rig.status(n) for n in (1, 2)], ["success", "queued"])
        self.rig.turn()
        self.break_next_sync()
        self.rig.clock.advance(60)
        self.assertEqual(self.rig.status(2), "queued")
        self.heal()
        self.assertEqual(self.rig.status(2), "error")


class FinishTests(SynchronousTestCase):
    """Opcodes whose last change and end are one commit."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.rig.acts["change"] = self.change
        self.trouble: Exception | None = None

    async def change(self, task: OpcodeTask) -> OpcodeResult:
        await task.locked()

        async def finish(edits: object) -> None:
            if self.trouble is not None:
                raise self.trouble
            assert isinstance(edits, list)
            made: tuple[Edit, ...] = tuple(edits)
            await self.rig.journal.append(Commit(at=0.0, who="config", why="made", edits=made))

        return OpcodeResult("changed", finish)

    def test_the_end_is_in_the_commit_of_the_last_change(self) -> None:
        self.rig.submit("change")
        self.rig.settle()
        self.assertEqual(
            [commit.why for commit in self.rig.journal.commits],
            ["submitted", "locks acquired", "made"],
        )
        self.assertEqual((self.rig.status(1), self.rig.results(1)), ("success", ["changed"]))
        self.assertEqual(self.rig.restarted().status(1), "success")

    def test_a_last_change_that_is_refused_ends_in_error(self) -> None:
        self.trouble = Failed("no")
        self.rig.submit("change")
        self.rig.settle()
        self.assertEqual(self.rig.results(1), [["OpExecError", ["no"]]])

    def test_a_last_change_that_is_not_kept_ends_in_error_and_says_so(self) -> None:
        self.trouble = CommitFailed("disk is full")
        self.rig.submit("change")
        self.rig.settle()
        self.assertEqual(
            self.rig.results(1), [["OpExecError", ["disk is full", "environment_error"]]]
        )

    def test_a_bug_in_the_last_change_ends_in_error(self) -> None:
        self.trouble = ZeroDivisionError("a bug")
        self.rig.submit("change")
        self.rig.settle()
        self.assertEqual(self.rig.status(1), "error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class CrashTests(SynchronousTestCase):
    def scenario(self, rig: Rig) -> list[int]:
        """Some jobs of every kind; answers the ids that were acknowledged."""
        rig.max_running = 3
        requests = [
            [an_opcode("lock"), an_opcode("talk")],
            [an_opcode("lock", priority=-10)],
            [an_opcode(depends=((2, ("success",)),))],
            [an_opcode("sleep"), an_opcode()],
        ]
        for request in requests:
            Deferred.fromCoroutine(rig.queue.submit(request)).addErrback(lambda _: None)
        rig.settle()
        Deferred.fromCoroutine(rig.queue.cancel(4)).addErrback(lambda _: None)
        rig.settle()
        return [job.id for job in rig.queue.jobs()]

    def rig(self, journal: SyncedJournal | None = None) -> Rig:
        rig = Rig(journal)

        async def talk(task: OpcodeTask) -> None:
            await task.locked()
            task.log_message("hello")
            await deferLater(rig.clock, 1)

        rig.acts["talk"] = talk
        return rig

    def test_after_a_crash_at_any_commit_every_job_ends(self) -> None:
        rig = self.rig()
        self.assertEqual(self.scenario(rig), [1, 2, 3, 4])
        commits = rig.journal.commits
        for kept in range(len(commits) + 1):
            journal = SyncedJournal()
            journal.commits = commits[:kept]
            acknowledged = sum(c.why == "submitted" for c in journal.commits)
            after = self.rig(journal)
            after.settle()
            self.assertEqual(
                [(job.id, job.is_final) for job in after.queue.jobs()],
                [(job_id, True) for job_id in range(1, acknowledged + 1)],
                f"after {kept} commits",
            )
            self.assertEqual(after.locks.rows(), [], f"after {kept} commits")
            self.assertEqual(after.restarted().queue.jobs(), after.queue.jobs(), f"{kept}")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.integers(0, 12), max_size=4), st.booleans())
    def test_however_often_the_journal_breaks_every_job_ends(
        self, breaks: list[int], waits: bool
    ) -> None:
        journal = BreakingJournal(breaks)
        journal.waits = waits
        rig = self.rig(journal)
        self.scenario(rig)
        self.assertTrue(all(job.is_final for job in rig.queue.jobs()))
        self.assertEqual((rig.locks.rows(), rig.clock.getDelayedCalls()), ([], []))
        self.assertEqual(rig.restarted().queue.jobs(), rig.queue.jobs())


class BreakingJournal(SyncedJournal):
    """A journal that breaks again and again: after as many appends as each number says."""

    def __init__(self, breaks: list[int]) -> None:
        super().__init__()
        self._breaks = list(breaks)

    async def append(self, commit: Commit) -> int:
        if self._breaks and self._trouble is None and not self._refuses:
            self._breaks[0] -= 1
            if self._breaks[0] < 0:
                del self._breaks[0]
                self.break_down()
        return await super().append(commit)

    async def reopen(self) -> None:
        self.sync()
        self.heal()
        await super().reopen()
