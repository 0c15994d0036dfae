# SPDX-License-Identifier: BSD-2-Clause
"""Operations that add and remove schedules of backups."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.changes.backup_settings import add_schedule, find_schedule, remove_schedule
from ganeti.config.state import ClusterState
from ganeti.errors import Invalid, Problem
from ganeti.locking.names import LockRequest
from ganeti.model.backups import BackupSchedule, last_due
from ganeti.opcodes.backup_repositories import AddBackupSchedule, RemoveBackupSchedule
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    Operation,
    ResultWithCommit,
    Tools,
)

_DAY = 24


@dataclass(frozen=True)
class ScheduleAddition:
    """A schedule to add; no locks, as no other operation depends on it."""

    schedule: BackupSchedule

    @property
    def locks(self) -> LockRequest:
        return {}


@dataclass(frozen=True)
class ScheduleRemoval:
    """A schedule to remove."""

    name: str

    @property
    def locks(self) -> LockRequest:
        return {}


def plan_add(op: AddBackupSchedule, state: ClusterState, facts: NodeAnswers) -> ScheduleAddition:
    """Plan to add a schedule for instances that exist now, or for tags."""
    problems = []
    if _DAY % op.interval and op.interval % _DAY:
        problems.append(Problem("interval", "must divide 24, or be a multiple of it"))
    if problems:
        raise Invalid(problems)
    schedule = BackupSchedule(
        uuid=op.schedule_name,
        repository=op.repository_name,
        created=int(facts.since or 0),
        instances=tuple(sorted({state.instance(name).uuid for name in op.instances})),
        tags=tuple(sorted(set(op.tags))),
        interval=op.interval,
        at=op.at,
        keep_last=op.keep_last,
        keep_daily=op.keep_daily,
        keep_weekly=op.keep_weekly,
        keep_monthly=op.keep_monthly,
        verify_days=op.verify_days,
    )
    add_schedule(schedule, 0)(state)
    return ScheduleAddition(schedule)


def plan_remove(
    op: RemoveBackupSchedule, state: ClusterState, facts: NodeAnswers
) -> ScheduleRemoval:
    """Plan to remove a schedule."""
    return ScheduleRemoval(find_schedule(state, op.schedule_name).name)


async def run_add(plan: ScheduleAddition, tools: Tools) -> ResultWithCommit:
    # The first backup is due at the next time, not at the last one.
    due = last_due(plan.schedule, tools.time.date())
    return ResultWithCommit(None, add_schedule(plan.schedule, due))


async def run_remove(plan: ScheduleRemoval, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(None, remove_schedule(plan.name))


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddBackupSchedule, plan_add, run_add),
    Operation(RemoveBackupSchedule, plan_remove, run_remove),
)
