# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for locks, being woken, and leaving at any moment."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.locking import waiting
from ganeti.locking.lock_table import AlreadyRequested
from ganeti.locking.names import LockMode, LockRequest
from ganeti.locking.waiting import LockWaiter

ONE: LockRequest = {"instance/a": LockMode.EXCLUSIVE}


class KeeperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.keeper = LockWaiter(self.clock)
        self.holding: list[str] = []
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self) -> None:
        self.assertEqual((self.keeper.rows(), self.holding), ([], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def job(
        self, owner: str, wants: LockRequest = ONE, priority: int = 0
    ) -> tuple[Deferred[None], Deferred[None]]:
        """A job that holds its locks until the second Deferred fires; the first is its end."""
        until: Deferred[None] = Deferred()

        async def work() -> None:
            async with self.keeper.hold_locks(owner, wants, priority):
                self.holding.append(owner)
                try:
                    await until
                finally:
                    self.holding.remove(owner)

        return Deferred.fromCoroutine(work()), until

    def test_free_locks_are_held_in_the_same_turn(self) -> None:
        end, until = self.job("job 1")
        self.assertEqual(self.holding, ["job 1"])
        until.callback(None)
        self.successResultOf(end)

    def test_a_waiter_is_woken_in_a_later_turn(self) -> None:
        _, until1 = self.job("job 1")
        _, until2 = self.job("job 2")
        until1.callback(None)
        self.assertEqual(self.holding, [])
        self.clock.advance(0)
        self.assertEqual(self.holding, ["job 2"])
        until2.callback(None)

    def test_it_is_known_what_was_released_since(self) -> None:
        shared: LockRequest = {"instance/a": LockMode.SHARED}
        other: LockRequest = {"instance/b": LockMode.EXCLUSIVE}
        before = self.keeper.releases
        for wants, conflicts in ((shared, [ONE]), (ONE, [ONE, shared])):
            mark = self.keeper.releases
            end, until = self.job("job 1", wants)
            self.assertFalse(self.keeper.released_since(ONE, mark))
            until.callback(None)
            self.successResultOf(end)
            found = [each for each in (ONE, shared) if self.keeper.released_since(each, mark)]
            self.assertEqual(found, conflicts)
            self.assertFalse(self.keeper.released_since(other, mark))
        self.assertTrue(self.keeper.released_since(ONE, before))
        self.assertFalse(self.keeper.released_since(ONE, self.keeper.releases))

    def test_what_was_released_long_ago_is_not_known(self) -> None:
        self.patch(waiting, "MAX_RELEASES", 3)
        mark = self.keeper.releases
        for number in range(3):
            self.job("job 1", {f"instance/{number}": LockMode.EXCLUSIVE})[1].callback(None)
        self.assertTrue(self.keeper.released_since(ONE, mark))
        self.assertFalse(self.keeper.released_since(ONE, self.keeper.releases))

    def test_a_waiter_that_leaves_has_released_nothing(self) -> None:
        _, until1 = self.job("job 1")
        end2, _ = self.job("job 2")
        mark = self.keeper.releases
        end2.cancel()
        self.failureResultOf(end2, CancelledError)
        self.assertFalse(self.keeper.released_since(ONE, mark))
        until1.callback(None)

    def test_a_cancelled_waiter_leaves_the_queue(self) -> None:
        _, until1 = self.job("job 1")
        end2, _ = self.job("job 2")
        end2.cancel()
        self.failureResultOf(end2, CancelledError)
        until1.callback(None)

    def test_a_waiter_cancelled_between_grant_and_waking_gives_back(self) -> None:
        _, until1 = self.job("job 1")
        end2, _ = self.job("job 2")
        _, until3 = self.job("job 3")
        until1.callback(None)
        end2.cancel()
        self.failureResultOf(end2, CancelledError)
        self.clock.advance(0)
        self.assertEqual(self.holding, ["job 3"])
        until3.callback(None)

    def test_a_stale_wake_up_wakes_nobody(self) -> None:
        _, until1 = self.job("job 1")
        end2, _ = self.job("job 2")
        _, until3 = self.job("job 3")
        until1.callback(None)
        end2.cancel()
        self.failureResultOf(end2, CancelledError)
        _, again = self.job("job 2")
        self.clock.advance(0)
        self.assertEqual(self.holding, ["job 3"])
        until3.callback(None)
        self.clock.advance(0)
        again.callback(None)

    def test_a_cancelled_holder_gives_back(self) -> None:
        end1, _ = self.job("job 1")
        _, until2 = self.job("job 2")
        end1.cancel()
        self.failureResultOf(end1, CancelledError)
        self.clock.advance(0)
        until2.callback(None)

    def test_an_owner_that_asks_twice_keeps_what_it_has(self) -> None:
        _, until = self.job("job 1")
        again, _ = self.job("job 1")
        self.failureResultOf(again, AlreadyRequested)
        self.assertEqual(self.holding, ["job 1"])
        until.callback(None)

    def test_a_new_priority_moves_a_waiter(self) -> None:
        ends = {owner: self.job(owner)[1] for owner in ("job 1", "job 2", "job 3")}
        self.keeper.reprioritize("job 3", -10)
        for owner in ("job 1", "job 3", "job 2"):
            self.assertEqual(self.holding, [owner])
            ends[owner].callback(None)
            self.clock.advance(0)

    def test_thousands_pass_one_lock_without_deep_stacks(self) -> None:
        passed: list[int] = []

        async def work(number: int) -> None:
            async with self.keeper.hold_locks(f"job {number}", ONE):
                passed.append(number)

        _, until = self.job("job")
        ends = [Deferred.fromCoroutine(work(number)) for number in range(3000)]
        until.callback(None)
        while not ends[-1].called:
            self.clock.advance(0)
        self.assertEqual(passed, list(range(3000)))
