# SPDX-License-Identifier: BSD-2-Clause
"""Tickets are good once, for a short time and one instance, and only while the right lasts."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.rights import Rights
from ganeti.config.state import ClusterState
from ganeti.errors import AccessDenied, Code, GanetiError, Refused, Unauthenticated
from ganeti.hypervisor.interfaces import ConsoleSocket, ConsoleStream
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import MAX_WAIT, CreateConsoleTicket
from ganeti.master.access.caller_identity import Callers, Identity
from ganeti.master.access.console_rights import MAX_TICKETS, SPENT, ConsoleRights
from ganeti.master.console_tickets import ConsoleTickets
from ganeti.model.users import Role
from ganeti.rpc.instances import TICKET_SECONDS
from ganeti.testing.builders import a_cluster, an_instance, uuid_of
from tests.master.access.case import a_grant, a_user, by_password
from tests.operations.whole import WholeCluster

WEB1 = uuid_of("instance", "web1")
OLI = by_password("oli")


class NoSessions:
    def find_caller(self, session: str, digest: str) -> Caller | None:
        return None


class ConsoleRightsTests(SynchronousTestCase):
    """oli operates web1, by its tag; ann may only see it."""

    def setUp(self) -> None:
        web1 = an_instance("web1", tags=("team-a",))
        self.state: ClusterState = a_cluster(instances=[web1, an_instance("db1")])
        for record in (a_user("oli"), a_user("ann")):
            self.state = self.state.put(record)
        self.state = self.state.put(a_grant("oli", Role.OPERATOR, "team-a"))
        self.state = self.state.put(a_grant("ann", Role.VIEWER, "team-a"))
        whole = WholeCluster(self.state)
        whole.guests["node1"].sockets = {ConsoleStream.SERIAL: ConsoleSocket(path="/serial")}
        self.successResultOf(whole.start_on("node1", "web1"))
        self.clock = Clock()
        self.rights = ConsoleRights(
            Callers(lambda: self.state, lambda: 0.0, NoSessions(), lambda token, when: None),
            lambda: self.state,
            ConsoleTickets(lambda: whole.state, whole.network),
            self.clock,
        )

    def create(self, caller: Caller = OLI) -> str:
        request = CreateConsoleTicket(instance="web1", stream="serial", viewer="oli")
        answer = self.successResultOf(self.rights.create(caller, WEB1, request))
        self.assertEqual(answer["node"], "node1")
        return str(answer["ticket"])

    def redeem(self, ticket: str, node: str = "node1") -> Any:
        return self.successResultOf(self.rights.redeem(node, ticket))

    def refusal(self, ticket: str, node: str = "node1") -> GanetiError:
        found = self.failureResultOf(self.rights.redeem(node, ticket), GanetiError).value
        assert isinstance(found, GanetiError)
        return found

    def test_a_negative_time_is_over_at_once(self) -> None:
        watching = self.watch(-1.0)
        self.clock.advance(0)
        self.assertIsNone(self.successResultOf(watching))

    def watch(self, timeout: float = 60.0, caller: Caller = OLI) -> Deferred[None]:
        return Deferred.fromCoroutine(self.rights.watch(caller, WEB1, timeout))

    def retag(self, *tags: str) -> None:
        self.state = self.state.put(an_instance("web1", tags=tags).instance)

    # --- who may

    def test_the_role_operator_for_the_instance_is_needed(self) -> None:
        web1, viewer = self.state.instance("web1"), Identity("ann", Rights.everywhere(Role.VIEWER))
        self.rights.require_operator(Identity("oli", Rights.everywhere(Role.OPERATOR)), web1)
        said = "the consoles of instance web1 need the role operator for it, which user ann"
        with self.assertRaisesRegex(AccessDenied, said):
            self.rights.require_operator(viewer, web1)

    # --- tickets

    def test_a_ticket_says_whose_it_is_and_for_what(self) -> None:
        told = self.redeem(self.create())
        self.assertEqual((told["user"], told["instance"]), ("oli", WEB1))
        self.assertEqual((told["caller"]["user"], told["caller"]["source"]), ("oli", "192.0.2.7"))

    def test_a_ticket_is_good_once(self) -> None:
        ticket = self.create()
        self.redeem(ticket)
        refused = self.refusal(ticket)
        assert isinstance(refused, Refused)
        self.assertEqual((str(refused), refused.code), (SPENT, Code.STATE))

    def test_a_ticket_of_another_node_is_refused_and_not_spent(self) -> None:
        ticket = self.create()
        self.assertEqual(str(self.refusal(ticket, "node2")), SPENT)
        self.redeem(ticket)

    def test_a_ticket_is_good_until_its_time_is_over(self) -> None:
        first, second = self.create(), self.create()
        self.clock.advance(TICKET_SECONDS)
        self.redeem(first)
        self.clock.advance(0.5)
        self.assertEqual(str(self.refusal(second)), SPENT)

    def test_the_oldest_of_very_many_tickets_is_dropped(self) -> None:
        first, second = self.create(), self.create()
        for _ in range(MAX_TICKETS - 1):
            self.create()
        self.assertEqual(str(self.refusal(first)), SPENT)
        self.redeem(second)

    def test_a_right_that_was_lost_meanwhile_makes_the_ticket_worthless(self) -> None:
        ticket = self.create()
        self.retag("team-b")
        self.assertIsInstance(self.refusal(ticket), AccessDenied)

    def test_a_user_who_may_not_log_in_any_more_is_denied_and_not_unauthenticated(self) -> None:
        # The node asks, which is authenticated itself.
        ticket = self.create()
        self.state = self.state.put(a_user("oli", disabled=True))
        refused = self.refusal(ticket)
        self.assertIsInstance(refused, AccessDenied)
        self.assertIn("user oli may not log in any more", str(refused))

    def test_another_instance_of_the_same_name_is_not_meant(self) -> None:
        ticket = self.create()
        self.state = self.state.remove(self.state.instance("web1"))
        self.state = self.state.put(an_instance("web1", uuid="other", tags=("team-a",)).instance)
        refused = self.refusal(ticket)
        assert isinstance(refused, Refused)
        self.assertEqual(str(refused), "the instance does not exist any more")
        self.assertEqual(refused.code, Code.UNKNOWN)

    # --- consoles that are open

    def test_a_watch_ends_with_its_time(self) -> None:
        watching = self.watch(10.0)
        self.clock.advance(9)
        self.assertNoResult(watching)
        self.clock.advance(1)
        self.assertIsNone(self.successResultOf(watching))

    def test_no_watch_is_longer_than_the_longest_wait(self) -> None:
        watching = self.watch(MAX_WAIT * 9)
        self.clock.advance(MAX_WAIT)
        self.successResultOf(watching)

    def test_a_caller_without_the_right_does_not_wait(self) -> None:
        self.failureResultOf(self.watch(caller=by_password("ann")), AccessDenied)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_changes_nothing_for_the_caller_ends_no_watch(self) -> None:
        watching = self.watch()
        self.retag("team-a", "more")
        self.rights.recheck()
        self.assertNoResult(watching)
        self.clock.advance(60)
        self.successResultOf(watching)

    def test_a_watch_ends_at_once_when_the_right_is_lost(self) -> None:
        before = self.state
        for after, kind in (
            (before.put(an_instance("web1", tags=("team-b",)).instance), AccessDenied),
            (before.put(a_user("oli", disabled=True)), Unauthenticated),
            (before.remove(before.instance("web1")), Refused),
        ):
            self.state = before
            watching = self.watch()
            self.state = after
            self.rights.recheck()
            self.failureResultOf(watching, kind)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_console_that_is_closed_is_watched_no_more(self) -> None:
        self.watch().addErrback(lambda _: None).cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.retag("team-b")
        self.rights.recheck()  # which would fail on a watch that is over
