# SPDX-License-Identifier: BSD-2-Clause
"""Any sequence of requests, failures and restarts: the queue keeps its promises."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import JobCanceled, Refused
from ganeti.jobs.filter_actions import JobFilter, JobRateLimit, Reject
from ganeti.jobs.runner import OpcodeTask
from tests.jobs.rig import Rig, an_opcode

ACTS = ("", "sleep", "lock", "refuse", "walk")
ids = st.integers(1, 6)
steps = st.one_of(
    st.tuples(st.just("submit"), st.lists(st.sampled_from(ACTS), min_size=1, max_size=2)),
    st.tuples(st.just("submit after"), st.integers(-1, 5)),
    st.tuples(st.just("cancel"), ids),
    st.tuples(st.just("kill"), ids),
    st.tuples(st.just("priority"), ids),
    st.tuples(st.just("archive"), ids),
    st.tuples(st.just("rules"), st.sampled_from(["none", "pause", "limit", "reject"])),
    st.tuples(st.sampled_from(["advance", "break", "restart", "sync"]), st.just(0)),
)
afterwards = st.sampled_from([(), ("turn",), ("sync",), ("turn", "sync", "turn")])


RULES: dict[str, JobFilter | None] = {
    "none": None,
    "pause": lambda job: JobRateLimit("odd", 0) if job.id % 2 else None,
    "limit": lambda job: JobRateLimit("all", 1),
    "reject": lambda job: None if job.id % 2 else Reject("even"),
}


class Master:
    """A queue that is asked anything, crashes, and remembers what it has acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.rig = self.prepared(Rig())

    def prepared(self, rig: Rig) -> Rig:
        async def refuse(task: OpcodeTask) -> None:
            raise Refused("no")

        async def walk(task: OpcodeTask) -> None:
            await task.locked()
            for _ in range(3):
                if task.is_cancel_requested():
                    raise JobCanceled("stopped")
                task.log_message("a step")
                await deferLater(rig.clock, 3)

        rig.acts.update({"refuse": refuse, "walk": walk})
        rig.journal.waits = True
        rig.max_running = 3
        return rig

    def ask(self, work: Any, answered: Any) -> None:
        Deferred.fromCoroutine(work).addCallbacks(answered, lambda _: None)

    def do(self, what: str, how: Any) -> None:
        queue = self.rig.queue
        match what:
            case "submit":
                opcodes = [an_opcode(act) for act in how]
                self.ask(queue.submit(opcodes), self.acknowledged.add)
            case "submit after":
                opcode = an_opcode(depends=((how, ("success",)),))
                self.ask(queue.submit([opcode]), self.acknowledged.add)
            case "cancel" | "kill":
                self.ask(queue.cancel(how, kill=what == "kill"), lambda _: None)
            case "priority":
                self.ask(queue.change_priority(how, -how), lambda _: None)
            case "archive":
                self.ask(queue.archive(how), lambda _: None)
            case "rules":
                self.rig.obey(RULES[how])
            case "sync":
                self.rig.journal.sync()
            case "turn":
                self.rig.turn()
            case "advance":
                self.rig.clock.advance(4)
            case "break":
                self.rig.journal.break_down()
                self.rig.journal.sync()
                self.rig.journal.heal()
            case "restart":
                archive = self.rig.archive
                self.rig = self.prepared(self.rig.restarted())
                self.rig.archive.jobs.update(archive.jobs)


class AnythingTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(steps, afterwards), max_size=25))
    def test_every_acknowledged_job_ends_and_nothing_is_left(self, what: list[Any]) -> None:
        master = Master()
        for (step, how), then in what:
            master.do(step, how)
            for each in then:
                master.do(each, 0)
        rig = master.rig
        rig.obey(None)
        rig.settle()
        there = {job.id for job in rig.queue.jobs()} | set(rig.archive.jobs)
        self.assertEqual(master.acknowledged - there, set())
        self.assertEqual([job.id for job in rig.queue.jobs() if not job.is_final], [])
        self.assertEqual((rig.locks.rows(), rig.clock.getDelayedCalls()), ([], []))
        self.assertEqual(rig.restarted().queue.jobs(), rig.queue.jobs())
        rig.stop()
