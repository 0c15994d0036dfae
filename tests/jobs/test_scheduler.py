# SPDX-License-Identifier: BSD-2-Clause
"""Which job starts next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.filter_actions import JobRateLimit
from ganeti.jobs.job import FINAL, Job, JobStatus, QueuedOpcode
from ganeti.jobs.queued_opcode import OpcodeInput
from ganeti.jobs.scheduler import Scheduler, Unschedulable, dependencies
from ganeti.opcodes.test import Delay

SUCCESS = frozenset({JobStatus.SUCCESS})
PAUSED = JobRateLimit("paused", 0)
TWO = JobRateLimit("two", 2)
GATES = (None, PAUSED, TWO, JobRateLimit("one", 1))
LEAVE = st.tuples(st.just("leave"), st.integers(0, 3))


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.scheduler = Scheduler()
        self.statuses: dict[int, JobStatus] = {}

    def add(
        self, job_id: int, priority: int = 0, **depends: frozenset[JobStatus]
    ) -> Unschedulable | None:
        wanted = {int(other.removeprefix("on")): will_do for other, will_do in depends.items()}
        return self.scheduler.add_job(job_id, priority, wanted, self.statuses.get)

    def test_priority_comes_before_age(self) -> None:
        for job_id, priority in ((1, 0), (2, -10), (3, 10), (4, 0)):
            self.add(job_id, priority)
        self.assertEqual(self.scheduler.pick(10), [2, 1, 4, 3])

    def test_no_more_start_than_may_run(self) -> None:
        for job_id in (1, 2, 3):
            self.add(job_id)
        self.assertEqual(
            [self.scheduler.pick(free) for free in (-1, 0, 2, 2)], [[], [], [1, 2], [3]]
        )

    def test_a_changed_priority_moves_a_job(self) -> None:
        for job_id in (1, 2, 3):
            self.add(job_id)
        for priority in (-5, 5, -5):
            self.scheduler.reprioritize(3, priority)
        self.scheduler.reprioritize(9, 1)
        self.assertEqual(self.scheduler.pick(10), [3, 1, 2])

    def test_a_job_waits_for_those_it_depends_on(self) -> None:
        self.statuses.update({1: JobStatus.RUNNING, 2: JobStatus.SUCCESS})
        self.add(3, on1=SUCCESS, on2=SUCCESS)
        self.scheduler.reprioritize(3, -1)
        self.add(4)
        self.assertEqual(self.scheduler.pick(10), [4])
        self.assertEqual(self.scheduler.ended(1, JobStatus.SUCCESS), [])
        self.assertEqual(self.scheduler.pick(10), [3])

    def test_a_dependency_that_ends_otherwise_leaves_no_hope(self) -> None:
        self.statuses[1] = JobStatus.RUNNING
        self.add(2, on1=SUCCESS)
        why = "depends on job 1, which ended in error and not in success"
        self.assertEqual(self.scheduler.ended(1, JobStatus.ERROR), [Unschedulable(2, why)])
        self.statuses[1] = JobStatus.ERROR
        self.assertEqual(self.add(3, on1=SUCCESS), Unschedulable(3, why))
        self.assertEqual((len(self.scheduler), self.scheduler.pick(10)), (0, []))

    def test_a_dependency_that_does_not_exist_leaves_no_hope(self) -> None:
        self.assertEqual(
            self.add(2, on1=FINAL),
            Unschedulable(2, "depends on job 1, which does not exist or was archived"),
        )

    def test_a_removed_job_never_starts(self) -> None:
        self.statuses[1] = JobStatus.RUNNING
        self.add(2)
        self.add(3, on1=FINAL)
        for job_id in (2, 3, 4):
            self.scheduler.remove(job_id)
        self.assertEqual(
            (self.scheduler.ended(1, JobStatus.SUCCESS), self.scheduler.pick(9)), ([], [])
        )

    @given(
        st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), max_size=20),
        st.integers(1, 5),
    )
    def test_each_pick_takes_what_a_full_sort_would(
        self, jobs: list[tuple[int, int]], free: int
    ) -> None:
        scheduler, naive = Scheduler(), []
        for job_id, (priority, later) in enumerate(jobs):
            scheduler.add_job(job_id, priority, {}, lambda _: None)
            scheduler.reprioritize(job_id, priority + later)
            naive.append((priority + later, job_id))
        picked: list[int] = []
        while some := scheduler.pick(free):
            picked += some
        self.assertEqual(picked, [job_id for _, job_id in sorted(naive)])


class GateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.scheduler = Scheduler()

    def add(self, job_id: int, gate: JobRateLimit | None = None, priority: int = 0) -> None:
        self.scheduler.add_job(job_id, priority, {}, lambda _: None, gate)

    def test_nobody_passes_a_gate_without_room(self) -> None:
        self.add(1, PAUSED)
        self.add(2)
        self.assertEqual((self.scheduler.pick(9), self.scheduler.pick(9)), ([2], []))
        self.assertEqual(list(self.scheduler), [1])

    def test_as_many_pass_as_there_is_room_for_and_others_overtake_them(self) -> None:
        for job_id in (1, 2, 3):
            self.add(job_id, TWO)
        self.add(4)
        self.assertEqual(self.scheduler.pick(9), [1, 2, 4])
        self.scheduler.left(4)
        self.assertEqual(self.scheduler.pick(9), [])
        self.scheduler.left(1)
        self.assertEqual(self.scheduler.pick(9), [3])

    def test_urgent_jobs_pass_first_and_each_gate_has_its_own_order(self) -> None:
        self.add(1, TWO)
        self.add(2, JobRateLimit("b", 1), priority=-1)
        self.add(3, TWO, priority=-2)
        self.add(4, priority=5)
        self.scheduler.reprioritize(1, 9)
        self.assertEqual(self.scheduler.pick(3), [3, 2, 4])
        self.assertEqual(self.scheduler.pick(3), [1])

    def test_one_that_waits_for_a_job_comes_to_its_gate_afterwards(self) -> None:
        self.scheduler.add_job(2, 0, {1: SUCCESS}, {1: JobStatus.RUNNING}.get, PAUSED)
        self.scheduler.ended(1, JobStatus.SUCCESS)
        self.assertEqual(self.scheduler.pick(9), [])
        self.scheduler.set_rate_limits({}, [])
        self.assertEqual(self.scheduler.pick(9), [2])

    def test_those_that_run_count_at_a_new_gate(self) -> None:
        for job_id in (1, 2, 3):
            self.add(job_id)
        self.assertEqual(self.scheduler.pick(2), [1, 2])
        self.scheduler.set_rate_limits(dict.fromkeys((1, 2, 3), TWO), [1, 2])
        self.assertEqual(self.scheduler.pick(9), [])
        self.scheduler.left(2)
        self.assertEqual(self.scheduler.pick(9), [3])

    def test_a_removed_job_frees_no_room(self) -> None:
        for job_id in (1, 2):
            self.add(job_id, JobRateLimit("a", 1))
        self.assertEqual(self.scheduler.pick(9), [1])
        self.scheduler.remove(2)
        self.add(3, JobRateLimit("a", 1))
        self.scheduler.left(2)
        self.assertEqual(self.scheduler.pick(9), [])

    @given(
        st.lists(st.tuples(st.integers(-2, 2), st.sampled_from(GATES)), max_size=15),
        st.lists(st.one_of(st.tuples(st.just("pick"), st.integers(0, 3)), LEAVE), max_size=30),
    )
    def test_each_pick_takes_what_a_look_at_all_jobs_would(
        self, jobs: list[tuple[int, JobRateLimit | None]], steps: list[tuple[str, int]]
    ) -> None:
        scheduler = Scheduler()
        waiting = {n: (priority, n) for n, (priority, _) in enumerate(jobs)}
        running: list[int] = []
        for n, (priority, gate) in enumerate(jobs):
            scheduler.add_job(n, priority, {}, lambda _: None, gate)
        for what, count in steps:
            if what == "leave":
                if count < len(running):
                    scheduler.left(running.pop(count))
                continue
            expected: list[int] = []
            for n in sorted(waiting, key=lambda n: waiting[n]):
                gate = jobs[n][1]
                inside = sum(jobs[other][1] == gate for other in (*running, *expected))
                if len(expected) < count and (gate is None or inside < gate.room):
                    expected.append(n)
            for n in expected:
                del waiting[n]
            self.assertEqual(scheduler.pick(count), expected)
            running += expected


class DependencyTests(SynchronousTestCase):
    def test_dependencies_are_those_of_what_is_still_to_be_done(self) -> None:
        first = OpcodeInput.from_opcode(Delay(duration=1.0, depends=((1, ()),)))
        second = OpcodeInput.from_opcode(
            Delay(duration=1.0, depends=((2, ("success", "error")), ("3", ())))
        )
        third = OpcodeInput.from_opcode(
            Delay(duration=1.0, depends=((2, ("success", "canceled")),))
        )
        job = Job(
            id=9,
            ops=(
                QueuedOpcode(input=first, status=JobStatus.SUCCESS),
                QueuedOpcode(input=second),
                QueuedOpcode(input=third),
            ),
        )
        self.assertEqual(dependencies(job), {2: SUCCESS, 3: FINAL})
