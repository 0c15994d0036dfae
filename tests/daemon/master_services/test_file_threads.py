# SPDX-License-Identifier: BSD-2-Clause
"""Files are read and written in threads that outlive the stop of the services."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from ganeti.daemon.master_services.file_threads import FileThreads

reactor: Any = installed


class RecordingReactor:
    """The real reactor, but for its end: ``triggers`` are what is called then."""

    def __init__(self) -> None:
        self.triggers: list[tuple[str, str, Callable[[], None]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def addSystemEventTrigger(self, phase: str, event: str, called: Callable[[], None]) -> None:
        self.triggers.append((phase, event, called))


class FileThreadTests(TestCase):
    def setUp(self) -> None:
        self.reactor = RecordingReactor()
        self.threads = FileThreads(self.reactor)
        self.threads.startService()
        [(self.phase, self.event, stop)] = self.reactor.triggers
        self.addCleanup(stop)

    async def test_a_function_runs_in_another_thread(self) -> None:
        self.assertNotEqual(await self.threads(threading.get_ident), threading.get_ident())
        self.assertEqual(await self.threads(int, "11", base=2), 3)

    async def test_its_error_comes_back(self) -> None:
        with self.assertRaises(FileNotFoundError):
            await self.threads(open, "/nonexistent/file")

    async def test_four_files_are_used_at_once(self) -> None:
        meeting = threading.Barrier(4)

        async def meet() -> int:
            return await self.threads(meeting.wait, 10)

        found = await gatherResults([Deferred.fromCoroutine(meet()) for _ in range(4)])
        self.assertEqual(sorted(found), [0, 1, 2, 3])

    async def test_work_of_the_cleanup_is_still_done(self) -> None:
        self.assertEqual((self.phase, self.event), ("after", "shutdown"))
        self.threads.stopService()
        self.assertEqual(await self.threads(int, "7"), 7)
