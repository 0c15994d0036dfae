# SPDX-License-Identifier: BSD-2-Clause
"""Consoles are for operators of an instance, for as long as they are: attacks on tickets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ganeti.config.changes.access import revoke_role, revoke_token, update_user
from ganeti.config.state import ClusterState
from ganeti.errors import AccessDenied, GanetiError, Refused, Unauthenticated
from ganeti.hypervisor.interfaces import ConsoleSocket, ConsoleStream
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import CreateConsoleTicket
from ganeti.model.users import OpenIdProvider, Role
from ganeti.operations.guest_conversion import make_guest
from ganeti.rapi.console.console_visitors import CHECK_SECONDS, MasterRights, Visitor
from ganeti.rpc.instances import TICKET_SECONDS
from ganeti.schema.records import replace
from tests.master.access.case import a_grant, a_token
from tests.rapi.access.case import SecuredCase
from tests.rapi.asking import AUTO, basic

TOKEN = "0123456789abcdef"


class ConsoleCase(SecuredCase):
    """web1 and db1 run, and have serial consoles."""

    def setUp(self) -> None:
        super().setUp()
        state = self.master.config.state()
        self.node = state.nodes[state.cluster.master_node].name
        host = next(host for host in self.cluster.hosts if host.name == self.node)
        host.guests.sockets = {ConsoleStream.SERIAL: ConsoleSocket(path="/serial")}
        for name in ("web1", "db1"):
            guest = make_guest(state, state.instance(name))
            self.cluster.wait(host.guests.start(guest, ()))
        self.rights = MasterRights(self.api.authenticator, self.wire)

    def ticket(self, instance: str = "web1", **how: Any) -> str:
        """The secret of a ticket."""
        answer = self.ask("POST", f"/2/instances/{instance}/console-ticket", {}, **how)
        self.assertEqual(answer.status, 200, answer.body)
        return str(answer.value["ticket"]).partition("/")[2]

    def redeem(self, ticket: str) -> Visitor:
        visitor: Visitor = self.cluster.wait(self.rights.redeem(self.node, ticket))
        return visitor

    def rejection(self, ticket: str) -> GanetiError:
        try:
            self.redeem(ticket)
        except GanetiError as e:
            return e
        raise AssertionError("the ticket was good")

    def watch(self, visitor: Visitor) -> list[Any]:
        """Begin to watch whether a visitor may stay; the list gets what that ends with."""
        ended: list[Any] = []
        watching = Deferred.fromCoroutine(self.rights.watch(visitor, active=False))
        watching.addErrback(lambda failure: failure.value)
        watching.addCallback(ended.append)
        self.cluster.pass_time(1)
        self.assertEqual(ended, [])
        return ended


class TicketTests(ConsoleCase):
    def test_those_who_operate_the_instance_get_one_however_they_log_in(self) -> None:
        self.put(a_token(TOKEN, "oli"))
        session = self.ask("POST", "/2/access/session", user="oli")
        cookie = session.headers["Set-Cookie"].partition(";")[0]
        headers = f"Cookie: {cookie}\r\nX-CSRF-Token: {session.value['csrf']}\r\n"
        for how, user in (
            ({"user": "oli"}, "oli"),
            ({"token": TOKEN}, "oli"),
            ({"headers": headers}, "oli"),
            ({"user": "root"}, "root"),
            ({"headers": AUTO}, "auto"),
        ):
            self.assertEqual(self.redeem(self.ticket(**how)).user, user)

    def test_others_get_none(self) -> None:
        self.put(a_token(TOKEN, "oli", Role.VIEWER))
        path = "/2/instances/{}/console-ticket"
        for instance, how, status in (
            ("web1", {"user": "ann"}, 403),
            ("web1", {"user": "vic"}, 403),
            ("web1", {"user": "nix"}, 403),
            ("web1", {"token": TOKEN}, 403),
            ("web1", {"headers": basic("rita", "xyz789")}, 403),
            ("web1", {"user": "bea"}, 404),
            ("db1", {"user": "oli"}, 404),
            ("web1", {}, 401),
        ):
            answer = self.ask("POST", path.format(instance), {}, **how)
            self.assertEqual(answer.status, status, (instance, how))

    def test_who_sees_an_instance_and_operates_another_gets_none(self) -> None:
        self.put(a_grant("oli", Role.VIEWER, "team-b"))
        answer = self.ask("POST", "/2/instances/db1/console-ticket", {}, user="oli")
        self.assertEqual(answer.status, 403)
        self.assertIn("consoles of instance db1 need the role operator", answer.message)

    def test_a_replayed_ticket_is_refused(self) -> None:
        ticket = self.ticket(user="oli")
        self.redeem(ticket)
        self.assertIn("was used before", str(self.rejection(ticket)))

    def test_an_expired_ticket_is_refused(self) -> None:
        ticket = self.ticket(user="oli")
        self.cluster.pass_time(TICKET_SECONDS + 1)
        self.assertIsInstance(self.rejection(ticket), Refused)

    def test_a_guessed_ticket_and_one_for_another_node_are_refused(self) -> None:
        ticket = self.ticket(user="oli")
        self.assertIsInstance(self.rejection("0" * 40), Refused)
        self.node = "node9"
        self.assertIsInstance(self.rejection(ticket), Refused)

    def test_a_ticket_is_for_its_instance_only(self) -> None:
        web1 = self.master.config.state().instance("web1").uuid
        self.assertEqual(self.redeem(self.ticket(user="oli")).instance, web1)

    def test_a_ticket_is_spent_in_vain_when_its_owner_has_lost_the_right(self) -> None:
        ticket = self.ticket(user="oli")
        self.change(revoke_role(a_grant("oli", Role.OPERATOR, "team-a").uuid))
        self.assertIsInstance(self.rejection(ticket), AccessDenied)

    def test_a_picture_of_the_screen_is_for_those_who_may_open_the_console(self) -> None:
        path = "/2/instances/{}/screenshot"
        for instance, user, status in (
            ("web1", "oli", 409),  # which the hypervisor fake has none of
            ("web1", "root", 409),
            ("web1", "ann", 403),
            ("web1", "vic", 403),
            ("db1", "oli", 404),
        ):
            answer = self.ask("GET", path.format(instance), user=user)
            self.assertEqual(answer.status, status, (instance, user))

    def test_it_is_noted_who_asks_for_a_console(self) -> None:
        self.ticket(user="oli")
        self.cluster.pass_time(5)
        told = self.ask("GET", "/2/history?user=oli", user="root").value
        wanted = "asked for the serial console of instance web1"
        self.assertIn(wanted, [entry["what"] for entry in told])

    def test_it_is_noted_who_takes_a_console_over(self) -> None:
        path = "/2/instances/web1/console-ticket"
        self.assertEqual(self.ask("POST", path, {"take_over": True}, user="oli").status, 200)
        self.cluster.pass_time(5)
        told = self.ask("GET", "/2/history?user=oli", user="root").value
        wanted = "asked to take over the serial console of instance web1"
        self.assertIn(wanted, [entry["what"] for entry in told])


class OpenConsoleTests(ConsoleCase):
    """What an open console is closed by, at once."""

    def test_nothing_happens_while_the_right_stays(self) -> None:
        ended = self.watch(self.redeem(self.ticket(user="oli")))
        self.cluster.pass_time(CHECK_SECONDS)
        self.assertEqual(ended, [None])

    def test_a_revoked_token_closes_it(self) -> None:
        self.put(a_token(TOKEN, "oli"))
        ended = self.watch(self.redeem(self.ticket(token=TOKEN)))
        self.change(revoke_token(TOKEN))
        self.expect(ended, Unauthenticated)

    def test_a_disabled_user_closes_it(self) -> None:
        ended = self.watch(self.redeem(self.ticket(user="oli")))
        self.change(update_user("oli", disabled=True))
        self.expect(ended, Unauthenticated)

    def test_a_revoked_role_closes_it(self) -> None:
        ended = self.watch(self.redeem(self.ticket(user="oli")))
        self.change(revoke_role(a_grant("oli", Role.OPERATOR, "team-a").uuid))
        self.expect(ended, AccessDenied)

    def test_an_instance_that_leaves_the_scope_closes_it(self) -> None:
        ended = self.watch(self.redeem(self.ticket(user="oli")))

        def retag(state: ClusterState) -> ClusterState:
            return state.put(replace(state.instance("web1"), tags=("team-b",)))

        self.change(retag)
        self.expect(ended, AccessDenied)

    def test_the_end_of_the_session_closes_it(self) -> None:
        session = self.ask("POST", "/2/access/session", user="oli")
        cookie = session.headers["Set-Cookie"].partition(";")[0]
        headers = f"Cookie: {cookie}\r\nX-CSRF-Token: {session.value['csrf']}\r\n"
        ended = self.watch(self.redeem(self.ticket(headers=headers)))
        self.ask("DELETE", "/2/access/session", headers=headers)
        self.expect(ended, Unauthenticated)

    def test_another_line_in_the_users_file_closes_it(self) -> None:
        visitor = self.redeem(self.ticket(headers=AUTO))
        with open(self.users._path, "w") as file:
            file.write("auto xyz789 read\n")
        self.cluster.pass_time(2)
        with self.assertRaises(GanetiError) as caught:
            self.cluster.wait(self.rights.watch(visitor, active=False))
        self.assertIn("the session has ended", str(caught.exception))

    def test_an_expired_token_closes_it_within_the_next_check(self) -> None:
        expires = int(self.cluster.process.clock.now()) + 60
        self.put(a_token(TOKEN, "oli", expires=expires))
        visitor = self.redeem(self.ticket(token=TOKEN))
        self.cluster.pass_time(61)
        with self.assertRaises(Unauthenticated):
            self.cluster.wait(self.rights.watch(visitor, active=False))

    def test_a_user_of_the_provider_stays_as_long_as_its_group_has_the_role(self) -> None:
        grant = a_grant("group:devs", Role.OPERATOR, "team-a")
        provider = OpenIdProvider(
            uuid=self.master.config.state().cluster.uuid,
            issuer="https://id.example.com",
            client_id="ganeti",
            redirect_uri="https://cluster.example.com/2/access/openid/callback",
        )
        self.put(provider, grant)
        eve = Caller(user="openid:eve", external=True, groups=("devs",))
        request = CreateConsoleTicket(instance="web1", stream="serial", viewer="somebody else")
        visitor = self.redeem(self.answer(eve, request)["ticket"])
        self.assertEqual(visitor.user, "openid:eve")
        ended = self.watch(visitor)
        self.change(revoke_role(grant.uuid))
        self.expect(ended, AccessDenied)

    def expect(self, ended: list[Any], error: type[GanetiError]) -> None:
        self.cluster.pass_time(1)
        self.assertEqual([type(each) for each in ended], [error])
