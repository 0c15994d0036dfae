# SPDX-License-Identifier: BSD-2-Clause
"""The parts of a daemon stop in the opposite order of their start, whatever one of them does."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.errors import Refused


class DaemonTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = Daemon(Clock())
        self.daemon.startService()
        self.said: list[str] = []

    def add(self, name: str, stop: Callable[[], object] | None = None) -> None:
        def stopping() -> object:
            self.said.append(f"-{name}")
            return stop() if stop is not None else None

        self.daemon.add(
            ServicePart(name, start=lambda: self.said.append(f"+{name}"), stop=stopping)
        )

    def test_a_part_starts_at_once_and_the_newest_stops_first(self) -> None:
        for name in ("files", "master", "sockets"):
            self.add(name)
        self.assertEqual(self.said, ["+files", "+master", "+sockets"])
        self.successResultOf(self.daemon.stopService())
        self.assertEqual(self.said[3:], ["-sockets", "-master", "-files"])

    def test_a_part_stops_when_the_one_after_it_has_stopped(self) -> None:
        stopped: Deferred[None] = Deferred()
        self.add("files")
        self.add("sockets", lambda: stopped)
        stopping = self.daemon.stopService()
        self.assertNoResult(stopping)
        self.assertEqual(self.said[2:], ["-sockets"])
        stopped.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(self.said[2:], ["-sockets", "-files"])

    def test_a_coroutine_can_stop_a_part(self) -> None:
        async def stop() -> None:
            self.said.append("stopped")

        self.add("master", stop)
        self.successResultOf(self.daemon.stopService())
        self.assertEqual(self.said[1:], ["-master", "stopped"])

    def test_a_part_that_fails_to_stop_keeps_no_other_from_it(self) -> None:
        self.add("files")
        self.add("sockets", lambda: [].pop())
        self.successResultOf(self.daemon.stopService())
        self.assertEqual(self.said[2:], ["-sockets", "-files"])
        self.assertEqual(len(self.flushLoggedErrors(IndexError)), 1)

    def test_who_cancels_the_stop_breaks_off_what_is_awaited(self) -> None:
        given_up: list[object] = []
        self.add("calls", lambda: Deferred(given_up.append))
        stopping = self.daemon.stopService()
        stopping.cancel()
        self.failureResultOf(stopping, CancelledError)
        self.assertEqual(len(given_up), 1)

    def test_a_part_that_is_added_to_a_daemon_that_ends_does_not_start(self) -> None:
        self.successResultOf(self.daemon.stopService())
        self.add("term")
        self.assertEqual(self.said, [])

    def test_a_part_that_cannot_start_says_so_to_whoever_adds_it(self) -> None:
        def start() -> None:
            raise Refused("another program listens there")

        self.assertRaises(Refused, self.daemon.add, ServicePart("sockets", start=start))

    def test_every_part_takes_its_files_anew(self) -> None:
        for name in ("certificate", "users"):
            self.daemon.on_reload(lambda name=name: self.said.append(name))  # type: ignore[misc]
        self.daemon.reload()
        self.assertEqual(self.said, ["certificate", "users"])


class EndTests(SynchronousTestCase):
    """What ends a daemon, and what does not."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.daemon = Daemon(self.clock)
        self.daemon.startService()
        self.addCleanup(self.daemon.stopService)

    def test_the_first_error_is_the_reason(self) -> None:
        self.daemon.fail(Refused("the first"))
        self.daemon.fail(Refused("the second"))
        self.assertEqual(str(self.failureResultOf(self.daemon.over, Refused).value), "the first")

    def test_work_that_was_canceled_does_not_end_it(self) -> None:
        self.daemon.fail(CancelledError())
        self.daemon.fail(Failure(CancelledError()))
        self.assertNoResult(self.daemon.over)

    def test_repeated_work_survives_what_may_pass(self) -> None:
        for error in (OSError("no files"), Refused("not now")):
            work = Failing(error)
            self.daemon.repeat(f"a look: {error}", 1.0, work.look, passing=(Refused,))
            self.clock.pump([1.0] * 3)
            self.assertEqual(work.calls, 3)
        self.assertNoResult(self.daemon.over)

    def test_any_other_error_of_repeated_work_ends_it(self) -> None:
        self.daemon.repeat("a look", 1.0, Failing(Refused("never")).look)
        self.clock.advance(1.0)
        self.failureResultOf(self.daemon.over, Refused)


class Failing:
    """Work that fails each time."""

    def __init__(self, error: Exception) -> None:
        self.calls = 0
        self._error = error

    async def look(self) -> None:
        self.calls += 1
        raise self._error
