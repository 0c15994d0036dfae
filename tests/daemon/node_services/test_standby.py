# SPDX-License-Identifier: BSD-2-Clause
"""Candidates start a master when there is none, each in its turn."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.standby import (
    INTERVAL,
    RESTART_DELAY,
    RESTART_TIME,
    RETRY_TIME,
    STAGGER,
    Standby,
)
from ganeti.errors import Failed
from ganeti.journal.etcd.leadership import SILENCE_SECONDS, Term
from ganeti.journal.etcd.vacancy import Vacancy


@dataclass
class _Starter:
    """Starts of the master daemon of ``name``, in memory."""

    tests: StandbyTests
    name: str

    async def prepare(self) -> None:
        self.tests.prepared.add(self.name)

    async def start(self) -> None:
        self.tests.started.append((self.name, self.tests.clock.seconds()))
        if self.tests.fails:
            raise Failed("the disk is full")
        self.tests.running.add(self.name)

    def discard(self) -> None:
        self.tests.prepared.discard(self.name)


class StandbyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.term: Term | None = Term(term=3, master="node1")
        self.revision = 0
        self.running: set[str] = set()
        self.prepared: set[str] = set()
        self.started: list[tuple[str, float]] = []
        self.candidates = ["node1", "node2", "node3"]
        self.fails = False
        self.comes_back = False
        self.started_meanwhile: tuple[str, ...] = ()

    async def find_vacancy(self) -> Vacancy | None:
        return None if self.term is None else Vacancy(self.term, self.revision)

    async def delete_leader_key(self, vacancy: Vacancy) -> bool:
        self.running.update(self.started_meanwhile)
        return not self.comes_back

    def standby(self, name: str) -> Standby:
        return Standby(
            self,
            lambda: self.candidates,
            lambda: name in self.running,
            _Starter(self, name),
            self.clock,
            name=name,
        )

    def look(self, standby: Standby, seconds: float) -> None:
        """Let a candidate look for some time."""
        for _ in range(round(seconds / INTERVAL) + 1):
            self.successResultOf(Deferred.fromCoroutine(standby.look()))
            self.clock.advance(INTERVAL)

    def test_the_node_of_the_last_master_is_first(self) -> None:
        self.look(self.standby("node1"), RESTART_DELAY)
        self.assertEqual(self.started, [("node1", RESTART_DELAY)])

    def test_the_others_try_in_turn(self) -> None:
        for name, turn in (("node2", 0), ("node3", 1)):
            began = self.clock.seconds()
            self.look(self.standby(name), 10)
            self.assertEqual(self.started[-1], (name, began + SILENCE_SECONDS + turn * STAGGER))

    def test_a_role_that_is_held_is_left_alone(self) -> None:
        self.term = None
        self.look(self.standby("node2"), 99)
        self.assertEqual(self.started, [])

    def test_the_time_without_a_master_is_counted_anew_each_time(self) -> None:
        standby, vacant = self.standby("node3"), self.term
        for self.term in (vacant, None, vacant):
            self.look(standby, SILENCE_SECONDS + STAGGER - 1)
        self.assertEqual(self.started, [])

    def test_a_master_that_was_stopped_may_be_started_again(self) -> None:
        self.term = Term(term=3, master="node1", stopped=True)
        self.look(self.standby("node2"), 2 * RESTART_TIME)
        self.assertEqual(self.started, [("node2", RESTART_TIME)])

    def test_a_node_that_is_no_candidate_does_nothing(self) -> None:
        self.look(self.standby("node9"), 99)
        self.assertEqual(self.started, [])

    def test_a_master_daemon_that_was_started_meanwhile_is_not_started_again(self) -> None:
        self.started_meanwhile = ("node1",)
        self.look(self.standby("node1"), 99)
        self.assertEqual(self.started, [])

    def test_a_master_daemon_that_runs_is_not_started(self) -> None:
        self.running.add("node2")
        self.look(self.standby("node2"), 99)
        self.assertEqual(self.started, [])

    def test_a_failed_attempt_is_repeated_later(self) -> None:
        self.fails = True
        self.revision = 7
        self.look(self.standby("node2"), RETRY_TIME)
        self.assertEqual(self.started, [("node2", 0.0), ("node2", RETRY_TIME)])

    def test_a_master_that_was_silent_for_long_enough_is_replaced_at_once(self) -> None:
        self.revision = 7
        self.look(self.standby("node2"), 0)
        self.assertEqual(self.started, [("node2", 0.0)])

    def test_a_master_that_comes_back_is_left_alone(self) -> None:
        self.revision, self.comes_back = 7, True
        self.look(self.standby("node2"), 9)
        self.assertEqual(self.started, [])

    def test_a_candidate_prepares_for_a_failover_while_there_is_a_master(self) -> None:
        self.term, standby = None, self.standby("node2")
        self.look(standby, 1)
        self.assertEqual(self.prepared, {"node2"})
        self.running.add("node2")
        self.look(standby, 1)
        self.assertEqual(self.prepared, set())
