# SPDX-License-Identifier: BSD-2-Clause
"""Lists of jobs from pieces that are kept."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.jobs.job import Job, JobEvent
from ganeti.jobs.submission import new_job
from ganeti.opcodes.test import Delay
from ganeti.views.job_objects import JobObjects
from ganeti.views.jobs import JOBS, JobRow
from ganeti.views.json_rows import objects

FIELDS = ("id", "status", "summary", "received_ts")


def a_job(number: int) -> Job:
    return new_job(number, [Delay(duration=0)], 1_700_000_000.0)


class JobObjectsTests(SynchronousTestCase):
    def test_a_list_is_what_it_would_be_without_keeping_anything(self) -> None:
        kept, jobs = JobObjects(FIELDS), [a_job(1), a_job(2)]
        for _ in range(2):
            self.assertEqual(
                kept.everything(jobs), objects(JOBS, FIELDS, map(JobRow.from_job, jobs))
            )

    def test_a_job_that_has_changed_or_gone_is_not_shown_as_it_was(self) -> None:
        kept, job = JobObjects(FIELDS), a_job(1)
        kept.everything([job, a_job(2)])
        after = job.after(JobEvent.PICKED, 1_700_000_001.0)
        [shown] = msgspec.json.decode(kept.everything([after]))
        self.assertEqual((shown["id"], shown["status"]), (1, "waiting"))

    def test_unknown_fields_are_refused(self) -> None:
        with self.assertRaises(Invalid):
            JobObjects(("id", "colour"))
