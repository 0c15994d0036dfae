# SPDX-License-Identifier: BSD-2-Clause
"""Job filters while masters die at any write: what was acknowledged of them holds."""

from __future__ import annotations

import gc
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError
from ganeti.jobs.job import Job, JobStatus
from ganeti.opcodes.test import Delay
from ganeti.testing.cluster import SimulatedCluster
from tests.simulation.scenario import calm, some_work, storm

HELD = "held back"
MATCHES = [["reason", ["=", "reason", HELD]]]
LIMITED = [["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]]]
MOST = 2
STEPS = 15


def held_job() -> Delay:
    """A job that the rule is about."""
    return Delay(duration=0.5, reason=(("gnt:user", HELD, 1),))


class Scenario:
    """A cluster with a rule that is set at some time, jobs that it is about, and dying masters."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.cluster = SimulatedCluster(seed)
        self.uuid: str | None = None
        self.submitted: list[int] = []
        self.problems: list[str] = []

    def ask(self, method: str, *arguments: Any, then: Any) -> None:
        asking: Any = self.cluster.master.answers()[method](*arguments)
        asked: Deferred[Any] = Deferred.fromCoroutine(asking)
        asked.addCallback(then)
        asked.addErrback(lambda failure: failure.trap(GanetiError, OSError))

    def set(self, action: Any, predicates: Any) -> None:
        """Set the rule; ``uuid`` is there once that was acknowledged."""

        def acknowledged(uuid: str) -> None:
            self.uuid = uuid

        self.ask("ReplaceFilter", None, 0, predicates, action, [], then=acknowledged)

    def submit(self) -> None:
        """Submit a job that the rule is about, and note it if the rule was there before."""
        follows = self.uuid is not None

        def acknowledged(job_id: int) -> None:
            self.cluster.acknowledged.append(job_id)
            if follows:
                self.submitted.append(job_id)

        self.ask("SubmitJob", [held_job()], then=acknowledged)

    def trouble(self) -> None:
        """Kill the master in the midst of its writes, and start the next one."""
        disk = self.cluster.hosts[0].disk
        if not self.cluster.crashed:
            disk.crash(at=disk.writes + self.random.randint(1, 12))
        for _ in range(3):
            self.submit()
        self.cluster.pass_time(self.random.choice((0.0, 0.001, 0.5)))
        self.cluster.kill_master()
        self.cluster.hosts[0].disk.heal()
        self.cluster.start_master()

    def play(self) -> None:
        """Submit jobs, some of them before the rule, and kill the master now and then."""
        for step in range(STEPS):
            self.submit()
            storm(self.cluster, 1, trouble=0.0)
            if self.random.random() < 0.3:
                self.trouble()
            self.look(step)

    def look(self, step: int) -> None:
        """Say so if a job is lost, or has begun."""
        for job_id in self.submitted:
            job = self.cluster.master.queue.find_job(job_id)
            if job is None or job.status is not JobStatus.QUEUED:
                status = "lost" if job is None else job.status.value
                self.problems.append(f"job {job_id} is {status} after step {step}")


def under_way(job: Job) -> bool:
    return job.status in (JobStatus.WAITING, JobStatus.RUNNING)


class FilterTests(SynchronousTestCase):
    def tearDown(self) -> None:
        # As in the other simulations: what is logged on purpose, and what the dead leave behind.
        gc.collect()
        self.flushLoggedErrors()

    def test_paused_jobs_are_neither_lost_nor_started_and_run_in_the_end(self) -> None:
        submitted = 0
        for seed in range(25):
            scenario = Scenario(seed)
            cluster = scenario.cluster
            scenario.submit()
            cluster.pass_time(1.0)
            scenario.set("PAUSE", MATCHES)
            cluster.pass_time(1.0)
            self.assertIsNotNone(scenario.uuid, f"seed {seed}")
            scenario.play()
            cluster.pass_time(30.0)
            scenario.look(STEPS)
            self.assertEqual(scenario.problems, [], f"seed {seed}")
            submitted += len(scenario.submitted)
            cluster.wait(cluster.master.filters.delete(str(scenario.uuid)))
            calm(cluster)
            self.assertEqual(cluster.problems(), [], f"seed {seed}")
            ends = {cluster.master.queue.job(each).status for each in scenario.submitted}
            self.assertEqual(ends, {JobStatus.SUCCESS}, f"seed {seed}")
        # Of one seed they may be few, as the order of sets is another one each time.
        self.assertGreater(submitted, 25 * STEPS // 4)

    def test_a_rule_whose_setting_a_crash_interrupts_is_there_or_not_and_never_half(self) -> None:
        for write in range(1, 12):
            scenario = Scenario(write)
            cluster, disk = scenario.cluster, scenario.cluster.hosts[0].disk
            disk.crash(at=disk.writes + write)
            scenario.set("PAUSE", MATCHES)
            cluster.pass_time(5.0)
            cluster.kill_master()
            disk.heal()
            cluster.start_master()
            there = set(cluster.master.config.state().filters)
            if scenario.uuid is not None:
                self.assertEqual(there, {scenario.uuid}, f"write {write}")
            cluster.submit(held_job())
            cluster.pass_time(20.0)
            (job,) = cluster.master.queue.jobs()
            status = JobStatus.QUEUED if there else JobStatus.SUCCESS
            self.assertIs(job.status, status, f"write {write}")

    def test_no_more_run_than_may_whatever_happens(self) -> None:
        for seed in range(10):
            cluster = SimulatedCluster(seed)
            setting: Any = cluster.master.answers()["ReplaceFilter"]
            cluster.wait(setting(None, 0, LIMITED, ["RATE_LIMIT", MOST], []))
            for _ in range(12):
                cluster.submit(held_job())
                cluster.submit(some_work(cluster.random))
                cluster.pass_time(cluster.random.choice((0.001, 0.3)))
                jobs = cluster.master.queue.jobs()
                running = [job for job in jobs if under_way(job) and "DELAY" in job.summary[0]]
                self.assertLessEqual(len(running), MOST, f"seed {seed}")
                if cluster.random.random() < 0.15:
                    cluster.kill_master()
                    cluster.start_master()
            calm(cluster)
            self.assertEqual(cluster.problems(), [], f"seed {seed}")
