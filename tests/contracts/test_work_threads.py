# SPDX-License-Identifier: BSD-2-Clause
"""Blocking work in threads: its result, its error, and its end when it is canceled."""

from __future__ import annotations

from typing import cast

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import TestCase

from ganeti.errors import Failed
from ganeti.system.cancellation import CancelSwitch
from ganeti.system.work_threads import WorkThreads


class WorkThreadsTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.run_work = WorkThreads(cast(IReactorFromThreads, reactor))

    async def test_work_returns_its_result(self) -> None:
        self.assertEqual(await self.run_work(lambda _: 6 * 7), 42)

    async def test_an_error_of_the_system_is_a_failure(self) -> None:
        with self.assertRaisesRegex(Failed, "No such file"):
            await self.run_work(lambda _: open("/nowhere").close())

    async def test_canceled_work_has_ended_when_its_caller_goes_on(self) -> None:
        ended: list[bool] = []

        def work(switch: CancelSwitch) -> None:
            try:
                switch.sleep(60)
            finally:
                ended.append(True)

        running = Deferred.fromCoroutine(_as_coroutine(self.run_work, work))
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.assertEqual(ended, [True])


async def _as_coroutine(run: WorkThreads, work) -> None:  # type: ignore[no-untyped-def]
    await run(work)
