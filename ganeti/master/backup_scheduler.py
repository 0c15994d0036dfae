# SPDX-License-Identifier: BSD-2-Clause
"""Submits the jobs of the schedules of backups when they are due.

A schedule that was due several times while no master ran is caught up once. While jobs of its last
time have not ended, no further ones are submitted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeAlias

from twisted.logger import Logger

from ganeti.config.changes.backup_settings import record_submission
from ganeti.config.state import ClusterState
from ganeti.config.writer import ChangeCause, ConfigWriter
from ganeti.errors import GanetiError
from ganeti.jobs.job import Job, JobStatus
from ganeti.metrics.family import MetricFamily, make_gauges
from ganeti.model.backups import BackupSchedule, BackupScheduleProgress, last_due
from ganeti.model.instance import Instance
from ganeti.opcodes.backup_repositories import CreateBackup, PruneBackups, VerifyBackups
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.documents import Document

INTERVAL = 20.0
"""Seconds between two looks at the schedules."""

_ANY_END = (JobStatus.SUCCESS.value, JobStatus.ERROR.value, JobStatus.CANCELED.value)
_CAUSE = ChangeCause("ganeti-masterd", "the progress of backup schedules")

Submit: TypeAlias = Callable[[Sequence[Opcode]], Awaitable[int]]
"""Accepts a job and returns its number; that of the queue."""


class BackupScheduler:
    """Looks at the schedules again and again; ``find_job`` returns a job that is not archived."""

    _log = Logger()

    def __init__(
        self,
        config: ConfigWriter,
        submit: Submit,
        find_job: Callable[[int], Job | None],
        may_act: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        """``may_act`` is whether this master holds its lease; ``now`` is since the epoch."""
        self._config = config
        self._submit = submit
        self._find_job = find_job
        self._may_act = may_act
        self._now = now

    async def submit_due(self) -> None:
        """Submit the jobs of all schedules that are due.

        :raises GanetiError: the queue accepts none, or the progress cannot be recorded.
        """
        if not self._may_act():
            return
        state = self._config.state()
        for name in sorted(state.backup_schedules):
            schedule = state.backup_schedules[name]
            due, progress = last_due(schedule, self._now()), _progress(schedule, state)
            if due > progress.due and not self._runs(progress):
                await self._submit_jobs(schedule, due)

    async def _submit_jobs(self, schedule: BackupSchedule, due: int) -> None:
        state = self._config.state()
        reason = (
            "ganeti:backup-schedule",
            f"backup schedule {schedule.name}",
            int(self._now() * 1e9),
        )
        jobs: list[int] = []
        for instance in list_instances(schedule, state):
            backup = CreateBackup(
                instance_name=instance.name,
                instance_uuid=instance.uuid,
                repository_name=schedule.repository,
                schedule=schedule.name,
                reason=(reason,),
            )
            try:
                jobs.append(await self._submit([backup]))
            except GanetiError as e:
                # Without any job, all of them are tried again at the next look.
                if not jobs:
                    raise
                self._log.error(
                    "no backup of {instance} by schedule {schedule}: {why}",
                    instance=instance.name,
                    schedule=schedule.name,
                    why=str(e),
                )
        if jobs and keeps_some(schedule):
            prune = PruneBackups(
                repository_name=schedule.repository,
                schedule=schedule.name,
                keep_last=schedule.keep_last,
                keep_daily=schedule.keep_daily,
                keep_weekly=schedule.keep_weekly,
                keep_monthly=schedule.keep_monthly,
                depends=tuple((job, _ANY_END) for job in jobs),
                reason=(reason,),
            )
            jobs.append(await self._submit([prune]))
        verifies = bool(jobs) and _verifies(schedule, _progress(schedule, state), due)
        if verifies:
            verify = VerifyBackups(
                repository_name=schedule.repository,
                schedule=schedule.name,
                newest=True,
                restore=True,
                # Also after the removal, which would be refused for backups that are being read.
                depends=tuple((job, _ANY_END) for job in jobs),
                reason=(reason,),
            )
            jobs.append(await self._submit([verify]))
        change = record_submission(schedule.name, due, tuple(jobs), verifies=verifies)
        await self._config.change(change, because=_CAUSE)

    def _runs(self, progress: BackupScheduleProgress) -> bool:
        found = [self._find_job(number) for number in progress.jobs]
        return any(job is not None and not job.is_final for job in found)

    async def query_schedules(self) -> list[Document]:
        """Return the schedules, the time when each was due last and will be next, and its jobs."""
        state = self._config.state()
        return [
            self._describe(state.backup_schedules[name], state)
            for name in sorted(state.backup_schedules)
        ]

    def _describe(self, schedule: BackupSchedule, state: ClusterState) -> Document:
        progress = _progress(schedule, state)
        instances = state.instances
        return {
            "name": schedule.name,
            "repository": schedule.repository,
            "instances": sorted(
                instances[uuid].name for uuid in schedule.instances if uuid in instances
            ),
            "tags": list(schedule.tags),
            "interval": schedule.interval,
            "at": schedule.at,
            "keep_last": schedule.keep_last,
            "keep_daily": schedule.keep_daily,
            "keep_weekly": schedule.keep_weekly,
            "keep_monthly": schedule.keep_monthly,
            "verify_days": schedule.verify_days,
            "verified": progress.verified,
            "last": progress.due,
            "next": last_due(schedule, self._now()) + schedule.interval * 3600,
            "jobs": list(progress.jobs),
            "failed": self._count_failed(progress),
        }

    def _count_failed(self, progress: BackupScheduleProgress) -> int:
        found = [self._find_job(number) for number in progress.jobs]
        return sum(job is not None and job.status is JobStatus.ERROR for job in found)

    def schedule_families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of schedules."""
        state = self._config.state()
        known = [
            (name, _progress(state.backup_schedules[name], state))
            for name in sorted(state.backup_schedules)
        ]
        yield make_gauges(
            "ganeti_backup_schedule_due_timestamp_seconds",
            "Time that the last backups of the schedule were due.",
            ("schedule",),
            [((name,), each.due) for name, each in known],
        )
        yield make_gauges(
            "ganeti_backup_schedule_failed_jobs",
            "Failed jobs of the last time that the schedule was due.",
            ("schedule",),
            [((name,), self._count_failed(each)) for name, each in known],
        )


def list_instances(schedule: BackupSchedule, state: ClusterState) -> list[Instance]:
    """Return the instances of a schedule that exist and have disks, by name."""
    every = not schedule.instances and not schedule.tags
    found = [
        each
        for each in state.instances.values()
        if each.disks
        and not each.forthcoming
        and (
            every
            or each.uuid in schedule.instances
            or any(tag in schedule.tags for tag in each.tags)
        )
    ]
    return sorted(found, key=lambda each: each.name)


def keeps_some(schedule: BackupSchedule) -> bool:
    """Return whether a schedule has rules of retention; without any, it removes nothing."""
    return bool(
        schedule.keep_last or schedule.keep_daily or schedule.keep_weekly or schedule.keep_monthly
    )


def _verifies(schedule: BackupSchedule, progress: BackupScheduleProgress, due: int) -> bool:
    """Return whether backups are to be verified with those that are due now."""
    return bool(schedule.verify_days) and due - progress.verified >= schedule.verify_days * 86400


def _progress(schedule: BackupSchedule, state: ClusterState) -> BackupScheduleProgress:
    found = state.backup_schedule_progress.get(schedule.name)
    return found or BackupScheduleProgress(uuid=schedule.name, due=0)
