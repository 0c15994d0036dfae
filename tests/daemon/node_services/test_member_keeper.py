# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon lets the member of the state store run as long as its node has one."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.node_services.member_keeper import RESTART_DELAY, MemberKeeper


class MemberKeeperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.wanted = self.runs = False
        self.starts = 0
        self.keeper = MemberKeeper(
            lambda: self.wanted, lambda: self.runs, self.start, self.stop, self.clock
        )

    async def start(self) -> None:
        self.starts += 1
        self.runs = True

    async def stop(self) -> bool:
        self.runs = False
        return True

    def look(self) -> int:
        self.successResultOf(self.keeper.look())
        return self.starts

    def test_a_node_without_a_member_runs_none(self) -> None:
        self.assertEqual(self.look(), 0)

    def test_a_member_is_started_once(self) -> None:
        self.wanted = True
        self.look()
        self.assertEqual(self.look(), 1)

    def test_one_that_does_not_stay_up_is_started_again_after_a_while(self) -> None:
        self.wanted = True
        self.look()
        self.runs = False
        self.assertEqual(self.look(), 1)
        self.clock.advance(RESTART_DELAY)
        self.assertEqual(self.look(), 2)

    def test_a_member_that_was_removed_is_stopped(self) -> None:
        self.runs = True
        self.look()
        self.assertFalse(self.runs)
