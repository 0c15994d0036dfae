# SPDX-License-Identifier: BSD-2-Clause
"""The jobs of backup schedules: when they are due, once, and not beside those before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.backup_settings import add_repository, add_schedule
from ganeti.errors import Refused
from ganeti.jobs.job import Job, JobStatus, QueuedOpcode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.master.backup_scheduler import BackupScheduler
from ganeti.model.backups import BackupRepository, BackupSchedule, last_due
from ganeti.opcodes.backup_repositories import CreateBackup, PruneBackups, VerifyBackups
from ganeti.opcodes.opcode import Opcode
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.tools import MemoryTools

HOUR, DAY = 3600, 86400


def a_schedule(**over: Any) -> BackupSchedule:
    return BackupSchedule(uuid="nightly", repository="vault", created=0, at=90, **over)


class DueTests(SynchronousTestCase):
    def test_a_schedule_is_due_at_its_time_of_the_day(self) -> None:
        self.assertEqual(last_due(a_schedule(), 5 * DAY + 90 * 60), 5 * DAY + 5400)
        self.assertEqual(last_due(a_schedule(), 5 * DAY + 5399), 4 * DAY + 5400)

    def test_several_times_a_day_fall_on_the_same_hours(self) -> None:
        found = {
            last_due(a_schedule(interval=6), 3 * DAY + hour * HOUR) - 3 * DAY for hour in range(24)
        }
        self.assertEqual(found, {5400 + hours * HOUR for hours in (-6, 0, 6, 12, 18)})


class BackupSchedulerTests(SynchronousTestCase):
    def setUp(self) -> None:
        instances = [
            an_instance("web1", disks=[a_disk("web1/0")], tags=("important",)),
            an_instance("web2", disks=[a_disk("web2/0")]),
            an_instance("web3"),
        ]
        self.memory = MemoryTools(a_cluster(nodes=("node1",), instances=instances))
        self.now, self.may_act = 5.0 * DAY, True
        self.submitted: list[Opcode] = []
        self.jobs: dict[int, Job] = {}
        self.refuses = False
        node = self.memory.state().node("node1").uuid
        vault = BackupRepository(uuid="vault", identity="i", node=node, path="/v", created=0)
        self.change(add_repository(vault))
        self.scheduler = BackupScheduler(
            self.memory.config, self.submit, self.jobs.get, lambda: self.may_act, lambda: self.now
        )

    def change(self, change: Any) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.memory.tools.config.change(change)))

    def add(self, **over: Any) -> None:
        schedule = a_schedule(**over)
        self.change(add_schedule(schedule, last_due(schedule, self.now)))

    async def submit(self, ops: Sequence[Opcode]) -> int:
        if self.refuses:
            raise Refused("the queue is drained")
        self.submitted += ops
        number = len(self.submitted)
        self.jobs[number] = self.a_job(number, JobStatus.QUEUED)
        return number

    def a_job(self, number: int, status: JobStatus) -> Job:
        return Job(
            id=number,
            ops=(
                QueuedOpcode(
                    input=OpcodeInput.from_opcode(self.submitted[number - 1]), status=status
                ),
            ),
        )

    def end_jobs(self, status: JobStatus = JobStatus.SUCCESS) -> None:
        self.jobs.update({number: self.a_job(number, status) for number in self.jobs})

    def look(self) -> list[str]:
        before = len(self.submitted)
        self.successResultOf(Deferred.fromCoroutine(self.scheduler.submit_due()))
        return [each.summary for each in self.submitted[before:]]

    def test_jobs_are_submitted_when_they_are_due_and_once(self) -> None:
        self.add()
        self.assertEqual(self.look(), [])
        self.now += 5400
        self.assertEqual(self.look(), ["BACKUP_CREATE(web1)", "BACKUP_CREATE(web2)"])
        self.assertEqual(self.look(), [])
        self.end_jobs()
        self.now += DAY
        self.assertEqual(len(self.look()), 2)

    def test_backups_are_verified_after_all_other_jobs_every_so_many_days(self) -> None:
        self.add(verify_days=2, keep_last=1)
        found = []
        for _ in range(4):
            self.now += DAY
            found.append(len(self.look()))
            self.end_jobs()
        self.assertEqual(found, [4, 3, 4, 3])
        verify = self.submitted[3]
        assert isinstance(verify, VerifyBackups)
        self.assertEqual((verify.restore, verify.newest, verify.schedule), (True, True, "nightly"))
        self.assertEqual([job for job, _ in verify.depends or ()], [1, 2, 3])

    def test_what_was_missed_is_caught_up_once(self) -> None:
        self.add()
        self.now += 9 * DAY
        self.assertEqual(len(self.look()), 2)
        self.end_jobs()
        self.assertEqual(self.look(), [])

    def test_jobs_of_the_last_time_end_first(self) -> None:
        self.add(interval=1)
        self.now += 2 * HOUR
        self.assertEqual(len(self.look()), 2)
        self.now += HOUR
        self.assertEqual(self.look(), [])
        self.end_jobs(JobStatus.ERROR)
        self.assertEqual(len(self.look()), 2)

    def test_tags_and_names_choose_instances(self) -> None:
        self.add(tags=("important",))
        self.now += DAY
        self.assertEqual(self.look(), ["BACKUP_CREATE(web1)"])

    def test_backups_that_no_rule_keeps_are_removed_after_all_jobs(self) -> None:
        self.add(keep_last=3, instances=(self.memory.state().instance("web2").uuid,))
        self.now += DAY
        self.look()
        made, pruned = self.submitted
        assert isinstance(made, CreateBackup) and isinstance(pruned, PruneBackups)
        self.assertEqual((made.schedule, pruned.schedule), ("nightly", "nightly"))
        self.assertEqual(pruned.depends, ((1, ("success", "error", "canceled")),))
        self.assertEqual((pruned.keep_last, pruned.keep_daily), (3, 0))

    def test_a_queue_that_takes_no_jobs_is_asked_again(self) -> None:
        self.add()
        self.now += DAY
        self.refuses = True
        self.failureResultOf(Deferred.fromCoroutine(self.scheduler.submit_due()), Refused)
        self.refuses = False
        self.assertEqual(len(self.look()), 2)

    def test_a_master_without_a_lease_submits_nothing(self) -> None:
        self.add()
        self.now += DAY
        self.may_act = False
        self.assertEqual(self.look(), [])

    def test_a_list_has_the_times_and_the_failures(self) -> None:
        self.add()
        self.now += DAY
        self.look()
        self.end_jobs(JobStatus.ERROR)
        [row] = self.successResultOf(Deferred.fromCoroutine(self.scheduler.query_schedules()))
        due = last_due(a_schedule(), self.now)
        self.assertEqual((row["last"], row["next"]), (due, due + DAY))
        self.assertEqual((row["jobs"], row["failed"]), ([1, 2], 2))
        families = {each.name: each.samples for each in self.scheduler.schedule_families()}
        [failed] = families["ganeti_backup_schedule_failed_jobs"]
        self.assertEqual((failed.labels, failed.value), (("nightly",), 2))
