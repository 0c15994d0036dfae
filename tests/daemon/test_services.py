# SPDX-License-Identifier: BSD-2-Clause
"""The parts of a daemon stop in the opposite order of their start, whatever one of them does."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.services import Daemon, ServicePart
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
