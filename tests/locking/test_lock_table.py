# SPDX-License-Identifier: BSD-2-Clause
"""The lock table: who holds, who waits, and in which order."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from ganeti.locking.lock_table import AlreadyRequested, LockRow, LockTable
from ganeti.locking.names import CONFLICTS, LockMode, LockRequest, widened

A, B = "node/a", "node/b"
SHARED, EXCLUSIVE = LockMode.SHARED, LockMode.EXCLUSIVE


def clash(one: LockRequest, other: LockRequest) -> bool:
    return any(other[name] in CONFLICTS[one[name]] for name in one.keys() & other.keys())


class TableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = LockTable()

    def test_free_locks_are_granted_at_once(self) -> None:
        self.assertEqual(self.table.request("job 1", {A: EXCLUSIVE, B: SHARED}), ["job 1"])

    def test_a_request_without_locks_is_granted(self) -> None:
        self.assertEqual(self.table.request("job 1", {}), ["job 1"])
        self.assertEqual((self.table.release("job 1"), self.table.rows()), ([], []))

    def test_a_request_is_granted_whole_or_not_at_all(self) -> None:
        self.table.request("job 1", {A: EXCLUSIVE})
        self.assertEqual(self.table.request("job 2", {A: EXCLUSIVE, B: EXCLUSIVE}), [])
        self.assertFalse(self.table.is_granted("job 2"))
        self.assertEqual(self.table.request("job 3", {"node/c": EXCLUSIVE}), ["job 3"])

    def test_sharers_hold_together(self) -> None:
        self.table.request("job 1", {A: SHARED})
        self.assertEqual(self.table.request("job 2", {A: SHARED}), ["job 2"])

    def test_a_waiter_keeps_those_behind_it_from_what_it_wants(self) -> None:
        self.table.request("job 1", {A: SHARED})
        self.table.request("job 2", {A: EXCLUSIVE})
        self.assertEqual(self.table.request("job 3", {A: SHARED}), [])
        self.assertEqual(self.table.release("job 1"), ["job 2"])
        self.assertEqual(self.table.release("job 2"), ["job 3"])

    def test_a_waiter_that_leaves_lets_those_behind_it_through(self) -> None:
        self.table.request("job 1", {A: SHARED})
        self.table.request("job 2", {A: EXCLUSIVE})
        self.table.request("job 3", {A: SHARED})
        self.assertEqual(self.table.release("job 2"), ["job 3"])

    def test_priority_comes_before_age(self) -> None:
        self.table.request("job 1", {A: EXCLUSIVE})
        self.table.request("job 2", {A: EXCLUSIVE})
        self.table.request("job 3", {A: EXCLUSIVE}, -10)
        self.assertEqual(self.table.release("job 1"), ["job 3"])

    def test_a_changed_priority_moves_a_waiter(self) -> None:
        self.table.request("job 1", {A: SHARED})
        self.table.request("job 2", {A: EXCLUSIVE})
        self.table.request("job 3", {A: SHARED})
        self.assertEqual(self.table.reprioritize("job 3", -1), ["job 3"])
        self.assertEqual(self.table.reprioritize("job 1", 5), [])
        self.assertEqual(self.table.reprioritize("job 9", 5), [])

    def test_a_waiter_that_moves_back_lets_others_through(self) -> None:
        self.table.request("job 1", {A: SHARED})
        self.table.request("job 2", {A: EXCLUSIVE})
        self.table.request("job 3", {A: SHARED})
        self.assertEqual(self.table.reprioritize("job 2", 1), ["job 3"])

    def test_an_owner_asks_once(self) -> None:
        self.table.request("job 1", {A: EXCLUSIVE})
        self.assertRaises(AlreadyRequested, self.table.request, "job 1", {B: EXCLUSIVE})

    def test_rows_show_holders_and_the_queue(self) -> None:
        self.table.request("job 1", widened({A: EXCLUSIVE}))
        self.table.request("job 2", {A: SHARED})
        self.table.request("job 3", {A: SHARED})
        self.table.request("job 4", {A: EXCLUSIVE}, -1)
        self.assertEqual(
            self.table.rows(),
            [
                LockRow("cluster/BGL", "shared", ("job 1",), ()),
                LockRow("node/[lockset]", "shared", ("job 1",), ()),
                LockRow(
                    A,
                    "exclusive",
                    ("job 1",),
                    (("exclusive", ("job 4",)), ("shared", ("job 2", "job 3"))),
                ),
            ],
        )

    def test_thousands_wait_for_one_lock(self) -> None:
        owners = [f"job {n}" for n in range(3000)]
        for owner in owners:
            self.table.request(owner, widened({A: EXCLUSIVE}))
        served = owners[:1]
        while granted := self.table.release(served[-1]):
            served += granted
        self.assertEqual((served, self.table.rows()), (owners, []))


class NaiveTable:
    """What the table promises, in the fewest words; every step looks at everything."""

    def __init__(self) -> None:
        self.tickets = 0
        self.held: dict[str, LockRequest] = {}
        self.waiting: list[tuple[int, int, str, LockRequest]] = []

    def request(self, owner: str, wants: LockRequest, priority: int) -> list[str]:
        self.tickets += 1
        self.waiting.append((priority, self.tickets, owner, wants))
        return self.grant()

    def release(self, owner: str) -> list[str]:
        self.held.pop(owner, None)
        self.waiting = [waiter for waiter in self.waiting if waiter[2] != owner]
        return self.grant()

    def reprioritize(self, owner: str, priority: int) -> list[str]:
        self.waiting = [
            (priority, *waiter[1:]) if waiter[2] == owner else waiter for waiter in self.waiting
        ]
        return self.grant()

    def grant(self) -> list[str]:
        ahead, granted = list(self.held.values()), []
        for waiter in sorted(self.waiting, key=lambda waiter: waiter[:2]):
            _, _, owner, wants = waiter
            if not any(clash(wants, other) for other in ahead):
                self.held[owner] = wants
                self.waiting.remove(waiter)
                granted.append(owner)
            ahead.append(wants)
        return granted


owners = st.sampled_from([f"job {n}" for n in range(8)])
priorities = st.sampled_from([-10, 0, 10])
locks = st.sampled_from([A, B, "node/[lockset]", "instance/x", "instance/y", "cluster/BGL"])
wishes = st.dictionaries(locks, st.sampled_from([SHARED, EXCLUSIVE]), max_size=3).map(widened)


class TableMachine(RuleBasedStateMachine):
    """The table against the naive one, under any sequence of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LockTable()
        self.naive = NaiveTable()
        self.asked: set[str] = set()

    @rule(owner=owners, wants=wishes, priority=priorities)
    def ask(self, owner: str, wants: LockRequest, priority: int) -> None:
        if owner not in self.asked:
            self.asked.add(owner)
            granted = self.naive.request(owner, wants, priority)
            assert self.table.request(owner, wants, priority) == granted

    @rule(owner=owners)
    def give_back(self, owner: str) -> None:
        self.asked.discard(owner)
        assert self.table.release(owner) == self.naive.release(owner)

    @rule(owner=owners, priority=priorities)
    def move(self, owner: str, priority: int) -> None:
        granted = self.naive.reprioritize(owner, priority)
        assert self.table.reprioritize(owner, priority) == granted

    @invariant()
    def no_two_holders_clash(self) -> None:
        assert {owner for owner in self.asked if self.table.is_granted(owner)} == set(
            self.naive.held
        )
        assert not any(clash(*pair) for pair in combinations(self.naive.held.values(), 2))

    @invariant()
    def if_somebody_waits_somebody_holds(self) -> None:
        assert bool(self.naive.held) or not self.naive.waiting

    def teardown(self) -> None:
        for _ in range(len(self.asked)):
            for owner in sorted(self.asked & set(self.naive.held)):
                self.give_back(owner)
        assert (self.asked, self.table.rows()) == (set(), [])


class TableMachineTests(SynchronousTestCase):
    def test_the_table_does_what_the_naive_one_does(self) -> None:
        few = settings(max_examples=60, stateful_step_count=30, deadline=None)
        run_state_machine_as_test(TableMachine, settings=few)


class OrderTests(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.lists(wishes, min_size=1, max_size=12))
    def test_everybody_is_served_once_those_before_have_ended(
        self, all_wants: list[LockRequest]
    ) -> None:
        table = LockTable()
        running = [
            owner for n, wants in enumerate(all_wants) for owner in table.request(f"job {n}", wants)
        ]
        served = 0
        while running:
            served += 1
            running += table.release(running.pop(0))
        self.assertEqual((served, table.rows()), (len(all_wants), []))
