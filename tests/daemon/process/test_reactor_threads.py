# SPDX-License-Identifier: BSD-2-Clause
"""Blocking work is done in a thread, and its result comes back in the reactor's."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet import reactor as installed
from twisted.trial.unittest import TestCase

from ganeti.daemon.process.reactor_threads import thread_runner

reactor: Any = installed


class ThreadTests(TestCase):
    def setUp(self) -> None:
        self.in_thread = thread_runner(reactor)

    async def test_a_function_runs_in_another_thread(self) -> None:
        worker = await self.in_thread(threading.get_ident)
        self.assertNotEqual(worker, threading.get_ident())

    async def test_its_arguments_are_passed_and_its_result_comes_back(self) -> None:
        self.assertEqual(await self.in_thread(sorted, [2, 1, 3], reverse=True), [3, 2, 1])

    async def test_its_error_comes_back(self) -> None:
        with self.assertRaisesRegex(ValueError, "invalid literal"):
            await self.in_thread(int, "x")
