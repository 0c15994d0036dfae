# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-debug`` does when the queue, an allocator or a file does not do as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_debug.actions import MAX_OPCODES
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.luxi.methods import CancelJob, Query, SubmitManyJobs, WaitForJobChange
from ganeti.opcodes.test import Delay, TestAllocator
from tests.cli.terminal import Terminal, answer

LOCKS = {"name": "text", "mode": "other", "owner": "other", "pending": "other"}


class LocksTests(SynchronousTestCase):
    def test_a_lock_that_nobody_has_or_wants_has_dashes(self) -> None:
        terminal = Terminal({Query: answer(LOCKS, ["node/node1", None, None, []])})
        self.assertEqual(terminal.run(GNT_DEBUG, "locks", "--separator", " "), 0)
        self.assertEqual(terminal.out, "Name Mode Owner Pending\nnode/node1 - - -\n")

    def test_they_are_shown_again_and_again_until_that_fails(self) -> None:
        terminal = Terminal({Query: answer(LOCKS, ["cluster", "shared", ["job 1"], []])})
        unknown = answer({**LOCKS, "mode": "unknown"}, ["cluster", None, None, []])

        def slept() -> None:
            if len(terminal.slept) == 2:
                terminal.canned[Query] = unknown

        terminal.sleeping = slept
        self.assertEqual(terminal.run(GNT_DEBUG, "locks", "--interval", "0.5", "--no-headers"), 14)
        self.assertEqual(terminal.slept, [0.5, 0.5])
        shown = "cluster shared job 1 -\n"
        self.assertTrue(terminal.out.startswith(f"{shown}\n{shown}\n"), terminal.out)


class SubmitTests(SynchronousTestCase):
    def file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def test_a_file_may_hold_a_single_opcode(self) -> None:
        terminal = Terminal()
        path = self.file('\n{"OP_ID": "OP_TEST_DELAY", "duration": 1}\n')
        self.assertEqual(terminal.run(GNT_DEBUG, "submit-job", path), 0, terminal.err)
        job = terminal.job()
        assert isinstance(job, Delay)
        self.assertEqual(job.duration, 1)

    def test_more_than_memory_would_hold_is_refused(self) -> None:
        path = self.file('{"OP_ID": "OP_TEST_DELAY", "duration": 1}')
        terminal = Terminal()
        words = ("submit-job", "--op-repeat", "1000", "--job-repeat", "1001", path)
        self.assertEqual((terminal.run(GNT_DEBUG, *words), terminal.asked()), (1, []))
        self.assertIn(
            f"too many opcodes (the maximum is {MAX_OPCODES}); reduce --op-repeat", terminal.err
        )

    def test_the_time_is_told_with_the_rate(self) -> None:
        path = self.file('{"OP_ID": "OP_TEST_DELAY", "duration": 1}')
        terminal = Terminal()

        def ended(_: Any) -> Any:
            terminal.slept.append(2.0)  # the master takes its time
            return [["success", ["success"], [None]], []]

        terminal.canned[WaitForJobChange] = ended
        words = ("submit-job", "--op-repeat", "1", "--timing-stats", path)
        self.assertEqual(terminal.run(GNT_DEBUG, *words), 0)
        self.assertEqual(
            terminal.out,
            "1 jobs, 1 opcodes: 2.000 s from submission to end\n0.5 jobs/s, 0.5 opcodes/s\n",
        )


class QueueTests(SynchronousTestCase):
    """A queue that does one thing wrong."""

    def tried(self, *ends: str, accepted: bool = True) -> str:
        """Try out a queue where jobs that fail and jobs that are canceled end so."""
        failing, canceled = ends

        def end(request: WaitForJobChange) -> Any:
            (opcode,) = terminal.master.memory.jobs[request.job_id]
            assert isinstance(opcode, Delay)
            status = "success"
            if opcode.duration:
                status = failing if opcode.duration < 0 else canceled
            result = ["OpExecError", ["broken"]] if status == "error" else None
            return [[status, [status], [result]], []]

        canned: Any = {WaitForJobChange: end, CancelJob: [True, "will be canceled"]}
        if not accepted:
            canned[SubmitManyJobs] = [[False, "the queue is full"]]
        terminal = Terminal(canned)
        self.assertEqual(terminal.run(GNT_DEBUG, "test-jobqueue"), 1)
        return terminal.err

    def test_a_failure_that_does_not_come_is_told(self) -> None:
        told = self.tried("success", "canceled")
        self.assertEqual(told, "Error: job 11 succeeded but should have failed\n")

    def test_a_job_that_is_not_canceled_is_told(self) -> None:
        told = self.tried("error", "success")
        self.assertEqual(told, "Error: job 12 should have been canceled but was not (True)\n")
        told = self.tried("error", "error")
        self.assertEqual(told, "Error: job 12 should have been canceled: broken\n")

    def test_a_job_that_is_not_accepted_is_told(self) -> None:
        told = self.tried("error", "canceled", accepted=False)
        self.assertEqual(told, "Error: a job was rejected: the queue is full\n")


class AllocatorTests(SynchronousTestCase):
    def asked(self, *words: str) -> TestAllocator:
        terminal = Terminal(result="the answer")
        self.assertEqual(terminal.run(GNT_DEBUG, "iallocator", *words), 0, terminal.err)
        self.assertEqual(terminal.out, "the answer\n")
        job = terminal.job()
        assert isinstance(job, TestAllocator)
        return job

    def test_a_place_is_asked_for_an_instance_of_some_size(self) -> None:
        job = self.asked("-m", "allocate", "--nics", "auto/192.0.2.9/br0,auto", "web9")
        self.assertEqual([disk["size"] for disk in job.disks or ()], [4096, 4096])
        first = {"mac": "auto", "ip": "192.0.2.9", "bridge": "br0"}
        self.assertEqual(list(job.nics or ()), [first, {"mac": "auto"}])
        self.assertEqual((job.memory, job.vcpus), (128, 1))

    def test_several_instances_leave_together(self) -> None:
        job = self.asked("-m", "change-group", "--target-groups", "rack2", "web1", "web2")
        self.assertEqual((job.instances, job.disks), (("web1", "web2"), None))

    def test_by_default_one_is_to_move(self) -> None:
        job = self.asked("web1")
        self.assertEqual((job.name, job.mode, job.direction), ("web1", "relocate", "in"))

    def test_a_dry_run_shows_the_plan(self) -> None:
        terminal = Terminal(result={"allocator": "hail"})
        self.assertEqual(terminal.run(GNT_DEBUG, "iallocator", "--dry-run", "web1"), 0)
        self.assertEqual(terminal.out, "allocator: hail\n")
        self.assertIs(terminal.job().dry_run, True)
