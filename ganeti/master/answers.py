# SPDX-License-Identifier: BSD-2-Clause
"""The table of LUXI methods that the master serves, with the function that answers each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ganeti.errors import GanetiError
from ganeti.jobs.job import Job
from ganeti.jobs.queue import Queue
from ganeti.luxi.server import Answerer
from ganeti.master.access.accounts import Accounts
from ganeti.master.access.audit import AuditTrail
from ganeti.master.access.history import History
from ganeti.master.enrolment import Enrolment
from ganeti.master.event_feed import EventFeed
from ganeti.master.job_filters import JobFilters
from ganeti.master.metrics import MasterMetrics
from ganeti.master.queries import Queries
from ganeti.master.shared_jobs import SharedJobs
from ganeti.master.watcher_pause import WatcherPause
from ganeti.opcodes.opcode import Opcode
from ganeti.views.jobs import JOBS, JobRow

NO_CHANGE = "nochange"
"""The answer that clients of every version understand as a time-out without a change."""


def answers(
    queue: Queue,
    shared: SharedJobs,
    questions: Queries,
    pause: WatcherPause,
    filters: JobFilters,
    enrolment: Enrolment,
    confirm_down: Answerer,
    events: EventFeed,
    metrics: MasterMetrics,
    accounts: Accounts,
    audit: AuditTrail,
    history: History,
) -> Mapping[str, Answerer]:
    """Return the answering function for each method of the protocol."""
    jobs = JobAnswers(queue)
    return {
        "SubmitJob": jobs.submit,
        "SubmitJobToDrainedQueue": jobs.submit_even_if_drained,
        "SubmitSharedJob": shared.submit,
        "SubmitManyJobs": jobs.submit_many,
        "CancelJob": jobs.cancel,
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
        "QueryInstances": questions.plain("instance"),
        "QueryNodes": questions.plain("node"),
        "QueryGroups": questions.plain("group"),
        "QueryNetworks": questions.plain("network"),
        "QueryExports": questions.exports,
        "QueryFilters": questions.filters,
        "QueryTags": questions.tags,
        "QueryClusterInfo": questions.cluster_info,
        "QueryConfigValues": questions.config_values,
        "PickupJob": _refuse_internal,
        "ReplaceFilter": filters.replace,
        "DeleteFilter": filters.delete,
        "ConfirmNodesDown": confirm_down,
        "EnrolNode": enrolment.enrol,
        "WaitForEvents": events.wait,
        "QueryMetrics": metrics.query,
        "QueryAccess": accounts.query,
        "QueryPassword": accounts.password,
        "QueryOpenId": accounts.openid,
        "QueryHistory": history.query,
        "RecordDenial": audit.record,
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

    async def wait(
        self,
        job_id: int,
        fields: Sequence[str],
        prev_job_info: Any,
        prev_log_serial: int | None,
        timeout: float,
    ) -> Any:
        JOBS.known(fields)

        def snapshot(job: Job) -> list[Any]:
            # In the form that clients receive, so that the value they send back compares equal.
            values: list[Any] = msgspec.to_builtins(JOBS.plain(fields, [JobRow.of(job)])[0])
            return values

        changed = await self._queue.wait_for_change(
            job_id, snapshot, prev_job_info, prev_log_serial, timeout
        )
        return NO_CHANGE if changed is None else changed

    async def set_drained(self, flag: bool) -> bool:
        await self._queue.set_drained(flag)
        return True


async def _refuse_internal(*_: Any) -> None:
    raise GanetiError("this method is internal to the master; submit jobs with SubmitJob")
