# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IJournal`` does; a subclass says which one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import CommitFailed
from ganeti.journal.interfaces import Append, Commit, Delete, IJournal, JournalDamaged, Put

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


def a_commit(number: int, *, size: int = 0) -> Commit:
    """A commit that differs from others by its number."""
    value = msgspec.Raw(msgspec.json.encode({"number": number, "text": "x" * size}))
    return Commit(
        at=float(number),
        who="admin",
        why=f"change {number}",
        job=number,
        edits=(
            Put(kind="instance", key=f"uuid-{number}", value=value),
            Append(kind="log", key="7", value=msgspec.Raw(b"[1]")),
            Delete(kind="disk", key="uuid-ä"),
        ),
    )


class JournalContract(Case):
    """A journal without commits."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = self.make()

    def make(self) -> IJournal:
        raise NotImplementedError

    def break_down(self) -> None:
        """Let nothing be kept until ``heal``."""
        raise NotImplementedError

    def heal(self) -> None:
        raise NotImplementedError

    def begun(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        return Deferred.fromCoroutine(work)

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        waiting = self.begun(work)
        self.clock.pump([0] * 9)
        return self.successResultOf(waiting)

    def trouble(self, work: Coroutine[Deferred[Any], Any, object]) -> None:
        waiting = self.begun(work)
        self.clock.pump([0] * 9)
        self.failureResultOf(waiting, CommitFailed)

    def replayed(self, after: int = 0) -> list[tuple[int, Commit]]:
        return list(self.journal.replay(after))

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IJournal, self.journal)

    def test_an_empty_journal_ends_where_it_begins(self) -> None:
        self.assertEqual((self.journal.last_commit(), self.replayed()), (0, []))

    def test_what_was_appended_is_replayed_in_order(self) -> None:
        commits = [a_commit(number) for number in range(1, 4)]
        self.assertEqual([self.done(self.journal.append(each)) for each in commits], [1, 2, 3])
        self.assertEqual(self.replayed(), list(enumerate(commits, 1)))
        self.assertEqual(self.replayed(after=2), [(3, commits[2])])
        self.assertEqual((self.journal.last_commit(), self.replayed(after=3)), (3, []))

    def test_appends_of_one_turn_return_in_order(self) -> None:
        returned: list[int] = []
        for number in range(1, 6):
            self.begun(self.journal.append(a_commit(number))).addCallback(returned.append)
        self.clock.pump([0] * 9)
        self.assertEqual(returned, [1, 2, 3, 4, 5])
        self.assertEqual([position for position, _ in self.replayed()], returned)

    def test_observers_see_commits_in_order_before_whoever_made_them(self) -> None:
        seen: list[object] = []
        observe = lambda position, commit: seen.append((position, commit.why))  # noqa: E731
        self.journal.observe(observe)
        for number in (1, 2):
            self.begun(self.journal.append(a_commit(number))).addCallback(seen.append)
        self.clock.pump([0] * 9)
        self.assertEqual(seen, [(1, "change 1"), 1, (2, "change 2"), 2])
        self.journal.unobserve(observe)
        self.done(self.journal.append(a_commit(3)))
        self.assertEqual(len(seen), 4)

    def test_observers_see_nothing_that_was_not_kept(self) -> None:
        seen: list[int] = []
        self.journal.observe(lambda position, _: seen.append(position))
        self.break_down()
        self.trouble(self.journal.append(a_commit(1)))
        self.assertEqual(seen, [])

    def test_commits_that_are_not_there_cannot_be_replayed(self) -> None:
        with self.assertRaises(JournalDamaged):
            self.journal.replay(1)

    def test_after_a_failure_nothing_is_taken_until_it_was_reopened(self) -> None:
        self.done(self.journal.append(a_commit(1)))
        self.break_down()
        self.trouble(self.journal.append(a_commit(2)))
        self.trouble(self.journal.reopen())
        self.heal()
        self.trouble(self.journal.append(a_commit(3)))
        self.done(self.journal.reopen())
        self.assertEqual(self.done(self.journal.append(a_commit(4))), 2)
        self.assertEqual(self.replayed(), [(1, a_commit(1)), (2, a_commit(4))])

    def test_reopening_what_is_open_does_nothing(self) -> None:
        self.done(self.journal.reopen())
        self.assertEqual(self.done(self.journal.append(a_commit(1))), 1)

    def test_forgetting_keeps_what_comes_after(self) -> None:
        for number in range(1, 4):
            self.done(self.journal.append(a_commit(number)))
        self.done(self.journal.remove_before(3))
        self.assertEqual(self.replayed(after=2), [(3, a_commit(3))])
        self.assertEqual(self.done(self.journal.append(a_commit(4))), 4)
