# SPDX-License-Identifier: BSD-2-Clause
"""The table of LUXI methods that the master serves, with the function that answers each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ganeti.errors import GanetiError
from ganeti.jobs.job import Job
from ganeti.jobs.queue import Queue
from ganeti.luxi.server import Answerer
from ganeti.master.access.accounts import Accounts
from ganeti.master.access.audit_trail import AuditTrail
from ganeti.master.access.change_history import History
from ganeti.master.access.console_rights import ConsoleRights
from ganeti.master.backup_queries import BackupQueries
from ganeti.master.backup_scheduler import BackupScheduler
from ganeti.master.enrolment import Enrolment
from ganeti.master.event_feed import EventFeed
from ganeti.master.guest_failover.supervisor import GuestSupervisor
from ganeti.master.job_filters import JobFilters
from ganeti.master.job_rates import JobRates
from ganeti.master.master_metrics import MasterMetrics
from ganeti.master.notifications.notifier import Notifier
from ganeti.master.queries import Queries
from ganeti.master.shared_jobs import SharedJobs
from ganeti.master.usage_queries import UsageQueries
from ganeti.master.watcher_pause import WatcherPause
from ganeti.opcodes.opcode import Opcode
from ganeti.views.jobs import JOBS, JobRow

if TYPE_CHECKING:
    from ganeti.operations.explain import Explanation

NO_CHANGE = "nochange"
"""The answer that clients of every version understand as a time-out without a change."""


def answers(
    queue: Queue,
    explain: Callable[[Opcode], Awaitable[Explanation]],
    shared: SharedJobs,
    questions: Queries,
    pause: WatcherPause,
    filters: JobFilters,
    enrolment: Enrolment,
    confirm_down: Answerer,
    move_state: Answerer,
    events: EventFeed,
    metrics: MasterMetrics,
    notifier: Notifier,
    accounts: Accounts,
    audit: AuditTrail,
    history: History,
    consoles: ConsoleRights,
    usage: UsageQueries,
    rates: JobRates,
    guests: GuestSupervisor,
    backups: BackupQueries,
    schedules: BackupScheduler,
) -> Mapping[str, Answerer]:
    """Return the answering function for each method of the protocol."""
    jobs = JobAnswers(queue)

    async def plan(ops: Sequence[Opcode]) -> list[Explanation]:
        return [await explain(op) for op in ops]

    return {
        "SubmitJob": jobs.submit,
        "SubmitJobToDrainedQueue": jobs.submit_even_if_drained,
        "SubmitSharedJob": shared.submit,
        "SubmitManyJobs": jobs.submit_many,
        "PlanJob": plan,
        "CancelJob": jobs.cancel,
        "CancelJobs": jobs.cancel_many,
        "ChangeJobPriority": queue.change_priority,
        "ArchiveJob": queue.archive,
        "AutoArchiveJobs": queue.auto_archive,
        "WaitForJobChange": jobs.wait,
        "SetDrainFlag": jobs.set_drained,
        "SetWatcherPause": pause.set,
        "QueryJobs": questions.jobs,
        "Query": questions.query,
        "QueryFields": questions.fields,
        "QueryObjects": questions.objects,
        "QueryObjectPages": questions.pages,
        "QueryInstances": questions.plain("instance"),
        "QueryNodes": questions.plain("node"),
        "QueryGroups": questions.plain("group"),
        "QueryNetworks": questions.plain("network"),
        "QueryImages": questions.plain("image"),
        "QueryExports": questions.exports,
        "QueryFilters": questions.filters,
        "QueryTags": questions.tags,
        "QueryClusterInfo": questions.cluster_info,
        "QueryConfigValues": questions.config_values,
        "PickupJob": _refuse_internal,
        "ReplaceFilter": filters.replace,
        "DeleteFilter": filters.delete,
        "ConfirmNodesDown": confirm_down,
        "MoveState": move_state,
        "EnrolNode": enrolment.enrol,
        "WaitForEvents": events.wait_for_events,
        "QueryMetrics": metrics.collect_families,
        "QueryNotifications": notifier.query_notifications,
        "TestNotification": notifier.test,
        "QueryAccess": accounts.query_accounts,
        "EndSession": accounts.end_session,
        "QueryPassword": accounts.password,
        "QueryOpenId": accounts.openid,
        "QueryHistory": history.query_history,
        "RecordDenial": audit.record,
        "QueryUsage": usage.query_usage,
        "QueryJobRates": rates.query_job_rates,
        "QueryFailover": guests.query,
        "QueryBackupRepositories": backups.query_repositories,
        "QueryBackups": backups.query_backups,
        "QueryBackupSchedules": schedules.query_schedules,
        "QueryRepositoryKey": backups.query_key,
        "TakeScreenshot": consoles.screenshot,
        "RedeemConsoleTicket": consoles.redeem,
    }


class JobAnswers:
    """LUXI methods of the job queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def submit(self, ops: Sequence[Opcode]) -> int:
        return await self._queue.submit(ops)

    async def submit_even_if_drained(self, ops: Sequence[Opcode]) -> int:
        return await self._queue.submit(ops, even_if_drained=True)

    async def submit_many(self, jobs: Sequence[Sequence[Opcode]]) -> list[tuple[bool, int | str]]:
        return await self._queue.submit_many(jobs)

    async def cancel(self, job_id: int, kill: bool | None = None) -> tuple[bool, str]:
        return await self._queue.cancel(job_id, kill=bool(kill))

    async def cancel_many(
        self, job_ids: Sequence[int], kill: bool | None = None
    ) -> list[tuple[bool, str]]:
        return await self._queue.cancel_many(job_ids, kill=bool(kill))

    async def wait(
        self,
        job_id: int,
        fields: Sequence[str],
        prev_job_info: object,
        prev_log_serial: int | None,
        timeout: float,
    ) -> Any:
        JOBS.known(fields)

        def snapshot(job: Job) -> list[object]:
            # In the form that clients receive, so that the value they send back compares equal.
            values: list[Any] = msgspec.to_builtins(JOBS.plain(fields, [JobRow.from_job(job)])[0])
            return values

        changed = await self._queue.wait_for_change(
            job_id, snapshot, prev_job_info, prev_log_serial, timeout
        )
        return NO_CHANGE if changed is None else changed

    async def set_drained(self, flag: bool) -> bool:
        await self._queue.set_drained(flag)
        return True


async def _refuse_internal(*_: object) -> None:
    raise GanetiError("this method is internal to the master; submit jobs with SubmitJob")
