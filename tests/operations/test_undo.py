# SPDX-License-Identifier: BSD-2-Clause
"""Steps are taken back newest first, whatever else fails, and when the journal works again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.writer import CancelledAfterCommit
from ganeti.errors import CommitFailed, Failed, JobCanceled
from ganeti.operations.undo import Undo
from ganeti.testing.tools import MemoryProgress


class UndoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.progress = MemoryProgress()
        self.done: list[str] = []

    def step(self, name: str, *errors: Exception) -> Callable[[], Awaitable[None]]:
        """Return a step that fails with each of the errors before it succeeds."""
        left = list(errors)

        async def take_back() -> None:
            if left:
                raise left.pop(0)
            self.done.append(name)

        return take_back

    async def broken_off(self, *steps: Callable[[], Awaitable[None]]) -> None:
        async with Undo(self.progress) as undo:
            for number, step in enumerate(steps):
                undo.by(f"take back step {number}", step)
            raise Failed("a later step")

    def test_steps_are_taken_back_newest_first(self) -> None:
        self.failureResultOf(self.broken_off(self.step("one"), self.step("two")), Failed)
        self.assertEqual(self.done, ["two", "one"])

    def test_a_step_that_fails_is_named_and_the_others_run(self) -> None:
        self.failureResultOf(
            self.broken_off(self.step("one"), self.step("two", Failed("no"))), Failed
        )
        self.assertEqual(self.done, ["one"])
        self.assertIn("could not take back step 1", self.progress.said[0])
        self.flushLoggedErrors(Failed)

    def test_nothing_is_taken_back_before_it_is_certain_that_the_change_was_not_made(self) -> None:
        recovered: Deferred[None] = Deferred()

        async def recover() -> None:
            await recovered

        async def change() -> None:
            async with Undo(self.progress) as undo:
                undo.by("start the guest again", self.step("start"))
                raise CommitFailed("the disk is full")

        self.progress.recover = recover
        failing = Deferred.fromCoroutine(change())
        self.assertNoResult(failing)
        self.assertEqual(self.done, [])
        recovered.callback(None)
        self.failureResultOf(failing, CommitFailed)
        self.assertEqual(self.done, ["start"])

    def test_a_change_that_the_journal_cannot_keep_is_made_when_it_works_again(self) -> None:
        recovering: list[Deferred[None]] = []

        async def recover() -> None:
            recovering.append(Deferred())
            await recovering[-1]

        self.progress.recover = recover
        full = CommitFailed("the disk is full")
        failing = Deferred.fromCoroutine(self.broken_off(self.step("one", full, full)))
        for attempt in range(2):
            self.assertNoResult(failing)
            self.assertEqual(self.done, [])
            recovering[attempt].callback(None)
        self.failureResultOf(failing, Failed)
        self.assertEqual((self.done, self.progress.said), (["one"], []))

    async def ended_by(self, error: BaseException | None, *, dropped: bool = False) -> None:
        """Take two steps, drop the second one if wanted, and end with an error or without."""
        async with Undo(self.progress) as undo:
            undo.by("take back one", self.step("one"))
            undo.by("take back two", self.step("two"))
            if dropped:
                undo.drop_newest()
            if error is not None:
                raise error

    def test_after_a_success_nothing_is_taken_back(self) -> None:
        self.successResultOf(self.ended_by(None))
        self.assertEqual(self.done, [])

    def test_a_step_that_was_not_carried_out_is_not_taken_back(self) -> None:
        self.failureResultOf(self.ended_by(Failed("no"), dropped=True), Failed)
        self.assertEqual(self.done, ["one"])

    def test_a_canceled_job_is_taken_back(self) -> None:
        for error in (JobCanceled("the job was canceled"), CancelledError()):
            self.setUp()
            self.failureResultOf(self.ended_by(error), type(error))
            self.assertEqual(self.done, ["two", "one"])

    def test_a_change_that_was_made_is_kept_if_only_the_wait_for_it_was_cancelled(self) -> None:
        self.failureResultOf(self.ended_by(CancelledAfterCommit()), CancelledAfterCommit)
        self.assertEqual(self.done, [])

    def test_what_is_forgotten_while_it_waits_takes_nothing_back(self) -> None:
        async def wait() -> None:
            async with Undo(self.progress) as undo:
                undo.by("take back one", self.step("one"))
                await Deferred[None]()

        waiting = wait()
        waiting.send(None)
        waiting.close()  # as when it is garbage collected
        self.assertEqual((self.done, self.progress.said), ([], []))
