# SPDX-License-Identifier: BSD-2-Clause
"""An operation sees the job that it runs for, and its result goes back to the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import JobCanceled, Refused
from ganeti.jobs.job import JobStatus
from ganeti.jobs.runner import OpcodeResult, OpcodeTask
from ganeti.journal.interfaces import Edit
from ganeti.master.job_operations import OperationRunner
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.perform import OperationResult
from tests.jobs.rig import Rig, an_opcode

Perform = Callable[[Opcode, Any], Awaitable[OperationResult]]


class RunnerTests(SynchronousTestCase):
    """Jobs of a real queue, whose opcodes are run by what a test performs."""

    def setUp(self) -> None:
        self.rig = Rig()

    def run_job(self, perform: Perform) -> int:
        performer: Any = perform
        runner = OperationRunner(performer)

        async def act(task: OpcodeTask) -> OpcodeResult:
            return await runner(an_opcode("act"), task)

        self.rig.acts["act"] = act
        job = self.rig.submit("act", priority=-5)
        self.rig.settle()
        return job

    def test_the_operation_is_given_the_opcode_and_the_owner(self) -> None:
        seen: list[object] = []

        async def perform(opcode: Opcode, owner: Any) -> OperationResult:
            await owner.locked()
            seen.extend((opcode.comment, owner.job_id, owner.owner, owner.priority))
            return OperationResult({"a": 1})

        job = self.run_job(perform)
        self.assertEqual(seen, ["act", job, f"job {job}", -5])
        self.assertEqual((self.rig.status(job), self.rig.results(job)), ("success", [{"a": 1}]))

    def test_messages_and_entries_are_in_the_log_of_the_job(self) -> None:
        async def perform(opcode: Opcode, owner: Any) -> OperationResult:
            await owner.locked()
            owner.log_message("half done")
            owner.log_entry("jqueue-test", [1, 2])
            return OperationResult(None)

        log = self.rig.queue.job(self.run_job(perform)).ops[0].log
        expected = [("message", "half done"), ("jqueue-test", [1, 2])]
        self.assertEqual([entry[2:] for entry in log], expected)

    def test_the_last_change_is_committed_with_the_end_of_the_opcode(self) -> None:
        edits: list[Edit] = []

        async def finish(more: Sequence[Edit]) -> None:
            edits.extend(more)

        async def perform(opcode: Opcode, owner: Any) -> OperationResult:
            await owner.locked()
            return OperationResult("done", finish)

        job = self.run_job(perform)
        self.assertEqual([edit.kind for edit in edits], ["job"])
        self.assertEqual(edits[0].key, str(job))

    def test_a_job_that_is_canceled_stops_where_its_changes_can_be_undone(self) -> None:
        async def perform(opcode: Opcode, owner: Any) -> OperationResult:
            await owner.locked()
            owner.may_stop()  # it was not canceled yet
            self.successResultOf(self.rig.queue.cancel(owner.job_id, kill=True))
            said = "the job was canceled while running; its changes were undone"
            with self.assertRaisesRegex(JobCanceled, said):
                owner.may_stop()
            with self.assertRaises(JobCanceled):
                await owner.interruptible(owner.locked())
            owner.may_stop()
            raise AssertionError

        job = self.run_job(perform)
        self.assertEqual(self.rig.queue.job(job).status, JobStatus.CANCELED)

    def test_an_error_is_that_of_the_opcode(self) -> None:
        async def perform(opcode: Opcode, owner: Any) -> OperationResult:
            raise Refused("node node3 is offline")

        job = self.run_job(perform)
        self.assertEqual(self.rig.status(job), "error")
        self.assertIn("node node3 is offline", str(self.rig.results(job)))
