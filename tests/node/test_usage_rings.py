# SPDX-License-Identifier: BSD-2-Clause
"""Rings of what was used: fixed step, fixed size, and gaps where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.guest import Counters
from ganeti.node.usage_rings import HOST, MAX_GUESTS, STEP, UsageRings
from ganeti.rpc.node import ReadUsage, Usage

NOW = 1_700_000_000.0


class UsageRingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.found: Mapping[str, Counters] = {HOST: Counters(cpu=100.0, memory=64 << 20)}
        self.rings = UsageRings(self.read, self.clock, lambda: NOW + self.clock.seconds(), size=5)
        self.rings.start()
        self.addCleanup(self.close)

    def close(self) -> None:
        self.rings.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def read(self) -> Mapping[str, Counters]:
        return self.found

    def step(self, steps: float = 1, **found: Counters) -> None:
        self.found = {name or HOST: counters for name, counters in found.items()}
        self.clock.advance(steps * STEP)

    def ask(self, guest: str = HOST) -> Usage:
        usage: Usage = self.successResultOf(self.rings.read_usage(ReadUsage(guest=guest)))
        return usage

    def series(self, name: str, guest: str = HOST) -> list[float | None]:
        return list(self.ask(guest).series[name])

    def test_memory_is_as_it_is_and_counters_become_rates(self) -> None:
        self.step(web1=Counters(cpu=1.0, memory=32 << 20, sent=0))
        self.step(web1=Counters(cpu=1.0 + STEP / 2, memory=48 << 20, sent=int(STEP) * 1000))
        self.assertEqual(self.series("memory", "web1"), [32.0, 48.0])
        self.assertEqual(self.series("cpu", "web1"), [None, 0.5])
        self.assertEqual(self.series("sent", "web1"), [None, 1000.0])
        self.assertEqual(self.series("received", "web1"), [None] * 2)

    def test_only_so_many_points_are_kept(self) -> None:
        for number in range(1, 8):
            self.step(web1=Counters(memory=number << 20))
        self.assertEqual(self.series("memory", "web1"), [3.0, 4.0, 5.0, 6.0, 7.0])

    def test_a_guest_that_does_not_run_for_a_while_has_a_gap(self) -> None:
        self.step(web1=Counters(cpu=5.0, memory=1 << 20))
        self.step()
        self.step(web1=Counters(cpu=1.0, memory=2 << 20))
        self.step(web1=Counters(cpu=1.0 + STEP, memory=2 << 20))
        self.assertEqual(self.series("memory", "web1"), [1.0, None, 2.0, 2.0])
        self.assertEqual(self.series("cpu", "web1"), [None, None, None, 1.0])

    def test_a_counter_that_goes_back_is_that_of_another_process(self) -> None:
        self.step(web1=Counters(cpu=500.0))
        self.step(web1=Counters(cpu=1.0))
        self.step(web1=Counters(cpu=1.0 + STEP))
        self.assertEqual(self.series("cpu", "web1"), [1.0])

    def test_a_daemon_that_was_held_up_leaves_a_gap_and_the_right_rate(self) -> None:
        self.step(web1=Counters(cpu=0.0))
        self.step(3, web1=Counters(cpu=3 * STEP, memory=1 << 20))
        self.assertEqual(self.series("cpu", "web1"), [1.0])

    def test_the_newest_point_has_its_time(self) -> None:
        self.step()
        self.clock.advance(STEP - 1)
        self.assertEqual(self.ask().end, NOW + STEP)

    def test_what_was_never_seen_has_no_points(self) -> None:
        self.assertEqual(self.series("memory", "web9"), [])

    def test_points_begin_where_the_first_value_is_known(self) -> None:
        self.step(web1=Counters(sent=0))
        self.step(web1=Counters(sent=0))
        self.step()
        self.assertEqual(self.series("sent", "web1"), [0.0, None])
        self.assertEqual(self.series("memory", "web1"), [None, None])

    def test_the_counters_of_what_runs_now_are_kept_for_metrics(self) -> None:
        self.step(web1=Counters(cpu=1.0))
        self.assertEqual(self.rings.counters, {"web1": Counters(cpu=1.0)})
        self.step()
        self.assertEqual(self.rings.counters, {})

    def test_what_cannot_be_read_is_read_again(self) -> None:
        def broken() -> Mapping[str, Counters]:
            raise OSError("no such file")

        self.rings._read, read = broken, self.rings._read
        self.clock.advance(STEP)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.rings._read = read
        self.step(web1=Counters(memory=1 << 20))
        self.assertEqual(self.series("memory", "web1")[-1], 1.0)

    def test_there_are_never_more_rings_than_agreed(self) -> None:
        for number in range(MAX_GUESTS + 50):
            self.found = {f"web{number}": Counters(memory=1 << 20)}
            self.clock.advance(STEP)
        self.assertLessEqual(len(self.rings._known), MAX_GUESTS + 1)
