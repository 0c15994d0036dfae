# SPDX-License-Identifier: BSD-2-Clause
"""Jobs are counted by the minute of their end, within bounds, and as far as a caller sees them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.job import Job, JobStatus, QueuedOpcode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.luxi.methods import QueryJobRates
from ganeti.master.job_rates import LONGEST, SIZE, STEP, Durations, JobRates
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.opcodes.test import Delay
from tests.master.access.case import AccessCase, by_password

NOW = 1_000_000_000.0
"""Within a minute, 20 seconds before its end."""


def a_job(*, start: int, end: int, status: JobStatus = JobStatus.SUCCESS) -> Job:
    """A job that was received at the time 0, relative to NOW."""
    received = int(NOW)
    return Job(
        id=1,
        ops=(QueuedOpcode(input=OpcodeInput.from_opcode(Delay(duration=0)), status=status),),
        received_timestamp=(received, 0),
        start_timestamp=(received + start, 0),
        end_timestamp=(received + end, 500_000),
    )


class JobRatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW
        self.rates = JobRates(lambda: self.now)

    def series(self) -> dict[str, list[Any]]:
        answer: Any = self.successResultOf(self.rates.query_job_rates())
        self.assertEqual((answer["step"], answer["end"] - self.now), (STEP, 20))
        series: dict[str, list[Any]] = answer["series"]
        self.assertEqual({len(each) for each in series.values()}, {SIZE})
        return series

    def test_a_job_is_counted_in_the_minute_of_its_end(self) -> None:
        self.rates.record(a_job(start=2, end=12))
        self.now += STEP
        self.rates.record(a_job(start=0, end=STEP, status=JobStatus.ERROR))
        series = self.series()
        self.assertEqual(series["success"][-3:], [0, 1, 0])
        self.assertEqual(series["error"][-3:], [0, 0, 1])
        self.assertEqual(series["canceled"], [0] * SIZE)

    def test_it_is_told_how_long_jobs_waited_and_ran(self) -> None:
        for start in range(1, 21):
            self.rates.record(a_job(start=start, end=start))
        series = self.series()
        self.assertApproximates(series["wait_p50"][-1], 10, 1)
        self.assertApproximates(series["wait_p95"][-1], 19, 2)
        self.assertApproximates(series["run_p95"][-1], 0.5, 0.05)
        self.assertEqual(series["wait_p50"][:-1], [None] * (SIZE - 1))

    def test_a_job_that_has_not_ended_is_not_counted(self) -> None:
        self.rates.record(a_job(start=0, end=0, status=JobStatus.RUNNING))
        self.assertEqual(self.series()["success"], [0] * SIZE)

    def test_what_is_older_than_the_last_point_is_forgotten(self) -> None:
        self.rates.record(a_job(start=0, end=0))
        for _ in range(SIZE + 5):
            self.now += STEP
            self.rates.record(a_job(start=0, end=int(self.now - NOW)))
        self.assertEqual(self.series()["success"], [1] * SIZE)
        self.assertLessEqual(len(self.rates._steps), SIZE)
        self.rates.record(a_job(start=0, end=0))
        self.assertLessEqual(len(self.rates._steps), SIZE)

    def test_a_clock_that_goes_back_loses_nothing(self) -> None:
        self.rates.record(a_job(start=0, end=0))
        self.rates.record(a_job(start=0, end=100 * STEP))
        self.assertEqual(self.series()["success"][-1], 2)

    def test_durations_of_any_length_take_bounded_memory(self) -> None:
        durations = Durations()
        for seconds in (-1.0, 0.0, 1e-9, 1e30):
            durations.add(seconds)
        self.assertEqual(durations.percentile(50), 0.001)
        self.assertApproximates(durations.percentile(95) or 0, LONGEST, LONGEST / 10)


class QueryTests(AccessCase):
    def ended(self, user: str) -> int:
        told = self.answer(by_password(user), QueryJobRates())
        return sum(map(sum, (told["series"][each] for each in ("success", "error", "canceled"))))

    def test_who_has_a_limited_role_gets_the_numbers_of_the_jobs_that_it_sees(self) -> None:
        for name in ("web1", "web2", "db1"):
            self.submit(by_password("root"), StartInstance(instance_name=name))
        self.cluster.finish_jobs()
        self.assertEqual([self.ended(user) for user in ("root", "vic", "ann", "bea")], [3, 3, 2, 1])

    def test_a_master_that_starts_counts_the_jobs_that_are_not_archived(self) -> None:
        self.submit(by_password("root"), Delay(duration=0))
        self.cluster.finish_jobs()
        self.cluster.kill_master()
        self.cluster.start_master()
        told: Any = self.cluster.wait(self.cluster.master.job_rates.query_job_rates())
        self.assertEqual(sum(told["series"]["success"]), 1)
