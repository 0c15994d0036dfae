# SPDX-License-Identifier: BSD-2-Clause
"""A flow and a script that share a pipe end together; the first that fails says why."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.node.script_streams import stream_from_script, stream_into_script
from ganeti.system.interfaces import FileEndpoint, PipeEndpoint
from ganeti.testing.disk import MemoryDisk
from ganeti.testing.streams import MemoryFlow, MemoryStreams


class StreamCase(SynchronousTestCase):
    """A flow of one second, and a script that ends when the test says so, or is killed."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.streams = MemoryStreams(MemoryDisk(), self.clock)
        self.script: Deferred[None] = Deferred()
        self.killed = False
        self.read, self.write = self.streams.pipe()
        self.addCleanup(lambda: self.assertEqual(self.streams.open, set()))

    async def run_script(self) -> None:
        try:
            await self.script
        except CancelledError:
            self.killed = True
            raise Failed("the script was killed") from None

    @property
    def flow(self) -> MemoryFlow:
        [flow] = self.streams.flows
        return flow

    def pass_time(self, seconds: float = 1.0) -> None:
        self.clock.pump([0.0, seconds, 0.0, 0.0])

    def failure(self, work: Deferred[Any]) -> str:
        return str(self.failureResultOf(work, Failed).value)


class IntoScriptTests(StreamCase):
    def begin(self) -> Deferred[None]:
        flow = self.streams.start_transfer(FileEndpoint("/dump"), PipeEndpoint(self.write))
        work = stream_into_script(self.streams, flow, self.run_script(), self.read, self.write)
        return Deferred.fromCoroutine(work)

    def test_it_ends_when_all_data_has_arrived_and_the_script_has_ended(self) -> None:
        work = self.begin()
        self.pass_time()
        self.assertNoResult(work)
        self.assertEqual(self.streams.open, {self.read})  # so the script sees the end of the data
        self.script.callback(None)
        self.successResultOf(work)

    def test_a_script_that_ends_early_with_success_does_not_stop_the_flow(self) -> None:
        work = self.begin()
        self.script.callback(None)
        self.assertNoResult(work)
        self.pass_time()
        self.successResultOf(work)

    def test_a_script_that_fails_stops_the_flow_and_says_why(self) -> None:
        work = self.begin()
        self.script.errback(Failed("import: exit code 1"))
        self.pass_time(0)
        self.assertEqual(self.failure(work), "import: exit code 1")
        self.assertTrue(self.flow.over)

    def test_a_script_that_fails_after_the_data_says_why(self) -> None:
        work = self.begin()
        self.pass_time()
        self.script.errback(Failed("import: exit code 1"))
        self.assertEqual(self.failure(work), "import: exit code 1")

    def test_a_flow_that_fails_kills_the_script_before_it_takes_that_for_the_end(self) -> None:
        work = self.begin()
        self.flow.stop()
        self.pass_time(0)
        self.assertEqual(self.failure(work), "the transfer was canceled")
        self.assertTrue(self.killed)

    def test_that_the_script_had_ended_is_told_when_the_flow_fails_then(self) -> None:
        work = self.begin()
        self.script.callback(None)
        self.flow.stop()
        self.pass_time(0)
        said = "the transfer was canceled; the reading script had already ended"
        self.assertEqual(self.failure(work), said)

    def test_a_job_that_is_canceled_kills_the_script(self) -> None:
        for after in (0.0, 1.0):  # before the end of the flow, and after it
            self.setUp()
            work = self.begin()
            self.pass_time(after)
            work.cancel()
            self.failureResultOf(work, CancelledError, Failed)
            self.assertTrue(self.killed)


class FromScriptTests(StreamCase):
    def begin(self) -> Deferred[None]:
        says, other = self.streams.pipe()
        self.streams.close(other)
        self.streams.close(self.read)  # the flow has a duplicate
        flow = self.streams.start_transfer(PipeEndpoint(self.read), FileEndpoint("/dump"))
        work = stream_from_script(self.streams, flow, self.run_script(), self.write, says)
        return Deferred.fromCoroutine(work)

    def test_it_ends_when_the_script_and_the_flow_have_ended(self) -> None:
        work = self.begin()
        self.script.callback(None)
        self.assertNoResult(work)
        self.assertEqual(self.streams.open, set())
        self.pass_time()
        self.successResultOf(work)

    def test_a_script_that_fails_stops_the_flow_before_its_end_looks_like_that_of_the_data(
        self,
    ) -> None:
        work = self.begin()
        self.script.errback(Failed("export: exit code 1"))
        self.assertEqual(self.failure(work), "export: exit code 1")
        self.assertIsInstance(self.flow.over, Failed)
        self.pass_time()
        self.assertEqual(self.streams.disk.contents(), {})

    def test_a_flow_that_fails_kills_the_script_and_says_why(self) -> None:
        work = self.begin()
        self.flow.stop()
        self.pass_time(0)
        self.assertEqual(self.failure(work), "the transfer was canceled")
        self.assertTrue(self.killed)

    def test_a_flow_that_fails_after_the_script_says_why(self) -> None:
        work = self.begin()
        self.script.callback(None)
        self.flow.stop()
        self.pass_time(0)
        self.assertEqual(self.failure(work), "the transfer was canceled")
        self.assertFalse(self.killed)

    def test_a_job_that_is_canceled_kills_the_script(self) -> None:
        work = self.begin()
        work.cancel()
        self.failureResultOf(work, CancelledError, Failed)
        self.assertTrue(self.killed)
        self.assertIsInstance(self.flow.over, Failed)
