# SPDX-License-Identifier: BSD-2-Clause
"""The archive of jobs."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import CommitFailed
from ganeti.jobs.job import Job, QueuedOpcode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.master.job_archive import JobArchive
from ganeti.master.state_paths import StatePaths
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.testing.disk import MemoryDisk, MemoryFiles

OP = AddTags(kind=TagKind.CLUSTER, tags=("green",))


def a_job(number: int) -> Job:
    return Job(id=number, ops=(QueuedOpcode(input=OpcodeInput.from_opcode(OP)),))


class ArchiveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.archive = JobArchive(MemoryFiles(self.disk), StatePaths("/data"))

    def test_jobs_are_found_in_a_folder_for_each_ten_thousand(self) -> None:
        jobs = [a_job(number) for number in (1, 9_999, 10_000)]
        self.successResultOf(self.archive.save_jobs(jobs))
        self.assertEqual([self.archive.find_job(job.id) for job in jobs], jobs)
        folder = "/data/queue/archive"
        self.assertEqual(
            set(self.disk.contents()),
            {f"{folder}/0/job-1", f"{folder}/0/job-9999", f"{folder}/1/job-10000"},
        )

    def test_a_job_that_is_missing_or_damaged_is_not_found(self) -> None:
        self.assertIsNone(self.archive.find_job(1))
        self.successResultOf(self.archive.save_jobs([a_job(1)]))
        self.disk.put("/data/queue/archive/0/job-1", b"{", 0o640, 0.0)
        self.assertIsNone(self.archive.find_job(1))

    def test_a_job_that_cannot_be_stored_is_not_taken_for_archived(self) -> None:
        self.disk.break_down()
        self.failureResultOf(self.archive.save_jobs([a_job(1)]), CommitFailed)
