# SPDX-License-Identifier: BSD-2-Clause
"""A node reports all of its status, and then what has changed."""

from __future__ import annotations

from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.model.guest import GuestState
from ganeti.node.status_reports import LOOK_INTERVAL, REPORT_INTERVAL, StatusReports
from ganeti.rpc.instances import BalloonMemory, StopInstance
from ganeti.rpc.node import DescribeNode, NodeInfo, StatusReport, WatchNode
from ganeti.schema.records import replace
from ganeti.testing.builders import a_guest
from ganeti.testing.facts import some_facts

STOP = StopInstance(instance_name="web1", hypervisor="fake", timeout=1)


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.info = some_facts(runs=["web1", "web2"])
        self.queries: list[DescribeNode] = []
        numbers = count(1)
        self.reports = StatusReports(self.describe, self.clock, lambda: f"r{next(numbers)}")
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    async def describe(self, call: DescribeNode) -> NodeInfo:
        self.queries.append(call)
        return self.info if call.storage else replace(self.info, storage=())

    def watch(self, since: str = "", wait: float = 20.0) -> Deferred[StatusReport]:
        call = WatchNode(hypervisors=("fake",), storage=(("file", "/srv"),), wait=wait, since=since)
        return Deferred.fromCoroutine(self.reports.watch(call))

    def first(self) -> str:
        """Get the first report; its position, when the next one may be made."""
        report = self.successResultOf(self.watch())
        self.clock.advance(REPORT_INTERVAL)
        return report.position

    def test_the_first_report_is_whole_and_at_once(self) -> None:
        report = self.successResultOf(self.watch())
        self.assertEqual(report, StatusReport(position="r1", info=self.info))

    def test_a_position_that_is_not_known_gets_a_whole_report(self) -> None:
        self.first()
        self.assertTrue(self.successResultOf(self.watch("of another daemon")).whole)

    def test_a_guest_that_ends_by_itself_is_reported(self) -> None:
        watching = self.watch(self.first())
        self.assertNoResult(watching)
        self.info = some_facts(runs=["web2"])
        self.clock.advance(LOOK_INTERVAL)
        report = self.successResultOf(watching)
        self.assertEqual((report.whole, report.gone, report.info.guests), (False, ("web1",), {}))

    def test_only_guests_that_are_new_or_different_are_in_a_report(self) -> None:
        watching = self.watch(self.first())
        grown = GuestState(name="web2", memory=256, vcpus=1)
        new = GuestState(name="web3", memory=1, vcpus=1)
        guests = {**self.info.guests, "web2": grown, "web3": new}
        self.info = replace(self.info, guests=guests)
        self.clock.advance(LOOK_INTERVAL)
        report = self.successResultOf(watching)
        self.assertEqual(report.info.guests, {"web2": grown, "web3": new})
        self.assertEqual(report.gone, ())

    def test_used_processor_time_and_a_little_memory_are_no_change(self) -> None:
        watching = self.watch(self.first())
        busy = replace(self.info.guests["web1"], cpu_time=9.0)
        free = self.info.memory_free - 10
        self.info = replace(self.info, memory_free=free, guests={**self.info.guests, "web1": busy})
        self.clock.advance(LOOK_INTERVAL)
        self.assertNoResult(watching)
        watching.cancel()
        self.failureResultOf(watching)

    def test_without_a_change_the_sums_are_reported_after_the_wait(self) -> None:
        position = self.first()
        watching = self.watch(position, wait=2 * LOOK_INTERVAL)
        self.info = replace(self.info, memory_free=self.info.memory_free - 10)
        self.clock.pump([LOOK_INTERVAL, LOOK_INTERVAL])
        report = self.successResultOf(watching)
        self.assertEqual(report.info, replace(self.info, guests={}))
        self.assertNotEqual(report.position, position)

    def test_what_a_call_has_changed_is_reported_without_waiting_for_a_look(self) -> None:
        async def stop(_: StopInstance) -> None:
            self.info = some_facts(runs=["web2"])

        watching = self.watch(self.first())
        self.successResultOf(self.reports.reporting(stop)(STOP))
        self.assertEqual(self.successResultOf(watching).gone, ("web1",))

    def test_a_guest_whose_memory_changes_is_reported(self) -> None:
        async def shrink(call: BalloonMemory) -> None:
            guests = {"web1": GuestState(name="web1", memory=call.memory, vcpus=1)}
            self.info = some_facts(guests=guests)

        watching = self.watch(self.first())
        call = BalloonMemory(guest=a_guest("web1"), memory=96)
        self.successResultOf(self.reports.reporting(shrink)(call))
        self.assertEqual(self.successResultOf(watching).info.guests["web1"].memory, 96)

    def test_a_guest_that_is_as_before_after_a_call_is_reported(self) -> None:
        async def fail(_: StopInstance) -> None:
            raise Failed("it does not stop")

        watching = self.watch(self.first())
        self.failureResultOf(self.reports.reporting(fail)(STOP), Failed)
        self.assertEqual(list(self.successResultOf(watching).info.guests), ["web1"])

    def test_many_changes_within_a_second_are_one_report(self) -> None:
        position = self.successResultOf(self.watch()).position
        watching = self.watch(position)
        for name in ("web1", "web2"):
            self.info = replace(
                self.info, guests={k: v for k, v in self.info.guests.items() if k != name}
            )
            self.reports.report_guest(name)
        self.assertNoResult(watching)
        self.clock.advance(REPORT_INTERVAL)
        self.assertEqual(self.successResultOf(watching).gone, ("web1", "web2"))

    def test_storage_is_queried_seldom(self) -> None:
        watching = self.watch(self.first())
        self.clock.pump([LOOK_INTERVAL] * 4)
        self.assertEqual([bool(query.storage) for query in self.queries], [True] + [False] * 5)
        watching.cancel()
        self.failureResultOf(watching)
