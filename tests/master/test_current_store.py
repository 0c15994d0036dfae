# SPDX-License-Identifier: BSD-2-Clause
"""Waits and copies go on with the other protocol when the state is moved, and neither is lost."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import NotMaster, Refused
from ganeti.journal.interfaces import BEGINNING, LogPosition, StoreError
from ganeti.master.current_store import CurrentCopies, CurrentTerm
from ganeti.master.lease_waiting import LEASE_WAIT_TIMEOUT
from ganeti.testing.builders import a_node

END = LogPosition(1, b"x" * 32)


class Term:
    """A term of one protocol; each wait is a Deferred that the test fires."""

    def __init__(self) -> None:
        self.waits: list[Deferred[None]] = []
        self.held = True
        self.released = 0

    async def confirm_lease(self) -> None:
        waiting: Deferred[None] = Deferred()
        self.waits.append(waiting)
        await waiting

    ready = agreed = confirm_lease

    def holds_lease(self) -> bool:
        return self.held

    def explained(self) -> str:
        return "most nodes do not answer"

    async def release_lease(self) -> None:
        self.released += 1


class CurrentTermTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.old = cast(Any, Term())
        self.new = cast(Any, Term())
        self.term = CurrentTerm(self.old, self.clock)

    def test_a_wait_ends_with_the_protocol_in_charge(self) -> None:
        for wait in (self.term.confirm_lease, self.term.agreed):
            waiting = Deferred.fromCoroutine(wait())
            self.assertNoResult(waiting)
            self.old.waits.pop().callback(None)
            self.assertIsNone(self.successResultOf(waiting))

    def test_a_wait_for_the_old_protocol_goes_on_with_the_new_one(self) -> None:
        waiting = Deferred.fromCoroutine(self.term.confirm_lease())
        self.term.replace_protocol(self.new)
        self.old.waits.pop().callback(None)
        self.assertNoResult(waiting)
        self.new.waits.pop().callback(None)
        self.successResultOf(waiting)

    def test_that_the_old_protocol_stops_is_not_that_this_is_no_master(self) -> None:
        waiting = Deferred.fromCoroutine(self.term.confirm_lease())
        self.term.replace_protocol(self.new)
        self.old.waits.pop().errback(NotMaster("stopping"))
        self.assertNoResult(waiting)
        self.new.waits.pop().errback(NotMaster("node2 is the master"))
        self.failureResultOf(waiting, NotMaster)

    def test_changes_are_refused_with_the_reason_after_a_wait(self) -> None:
        waiting = Deferred.fromCoroutine(self.term.ready())
        self.clock.advance(LEASE_WAIT_TIMEOUT)
        refused = self.failureResultOf(waiting, Refused).value
        self.assertIn("most nodes do not answer", str(refused))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_answer_is_given_while_the_lease_is_held(self) -> None:
        async def answer() -> int:
            return 7

        self.assertEqual(self.successResultOf(self.term.bounded(answer())), 7)

    def test_the_lease_is_that_of_the_protocol_in_charge(self) -> None:
        self.new.held = False
        self.assertTrue(self.term.holds_lease())
        self.term.replace_protocol(self.new)
        self.assertFalse(self.term.holds_lease())
        self.successResultOf(self.term.release_lease(stopped=True))
        self.assertEqual((self.old.released, self.new.released), (0, 1))


class Copies:
    """Copies of one protocol; ``stores`` are commits that the test ends."""

    def __init__(self) -> None:
        self.stores: list[Deferred[None]] = []
        self.calls: list[str] = []
        self.listed: list[str] = []

    async def store_frames(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        storing: Deferred[None] = Deferred()
        self.stores.append(storing)
        await storing

    def discard_after(self, end: LogPosition) -> None:
        self.calls.append(f"discard after {end.position}")

    def members(self, nodes: Any) -> None:
        self.listed = [node.name for node in nodes]

    def stop(self) -> None:
        self.calls.append("stop")


class CurrentCopiesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.old = cast(Any, Copies())
        self.new = cast(Any, Copies())
        self.copies = CurrentCopies(self.old)

    def store(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.copies.store_frames(BEGINNING, b"frames", END))

    def test_without_a_move_commits_are_stored_in_one_place(self) -> None:
        storing = self.store()
        self.old.stores.pop().callback(None)
        self.successResultOf(storing)

    def test_during_a_move_a_commit_is_stored_in_both_places(self) -> None:
        self.copies.next = self.new
        storing = self.store()
        self.old.stores.pop().callback(None)
        self.assertNoResult(storing)
        self.new.stores.pop().callback(None)
        self.successResultOf(storing)

    def test_a_next_place_that_fails_is_dropped_and_the_commit_is_kept(self) -> None:
        for error in (StoreError("full"), NotMaster("stopping"), CancelledError()):
            self.copies.next = self.new
            storing = self.store()
            self.new.stores.pop().errback(error)
            self.old.stores.pop().callback(None)
            self.successResultOf(storing)
            self.assertIsNone(self.copies.next)
        self.assertEqual(self.new.calls, ["stop"] * 3)

    def test_an_error_in_the_program_is_logged_beside_that(self) -> None:
        self.copies.next = self.new
        storing = self.store()
        self.new.stores.pop().errback(ZeroDivisionError())
        self.old.stores.pop().callback(None)
        self.successResultOf(storing)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_failure_in_the_place_in_charge_is_reported_after_the_other_has_ended(self) -> None:
        for error in (StoreError("full"), NotMaster("node2 is the master")):
            self.copies.next = self.new
            storing = self.store()
            self.old.stores.pop().errback(error)
            self.assertNoResult(storing)
            self.new.stores.pop().callback(None)
            self.failureResultOf(storing, type(error))

    def test_both_places_know_the_members_and_discard_what_was_not_stored(self) -> None:
        self.copies.next = self.new
        self.copies.discard_after(END)
        self.copies.members(node for node in (a_node("node1"), a_node("node2")))
        for each in (self.old, self.new):
            self.assertEqual(each.calls, ["discard after 1"])
            self.assertEqual(each.listed, ["node1", "node2"])
        self.copies.stop()
        self.assertEqual((self.old.calls[-1], self.new.calls[-1]), ("stop", "stop"))

    def test_a_place_that_is_put_in_charge_is_the_only_one(self) -> None:
        self.copies.next = self.new
        self.copies.replace_protocol(self.new)
        self.assertEqual((self.copies.now, self.copies.next), (self.new, None))

    def test_without_a_move_there_is_nothing_to_drop(self) -> None:
        self.copies.drop_next()
        self.assertEqual(self.old.calls, [])
