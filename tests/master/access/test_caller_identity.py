# SPDX-License-Identifier: BSD-2-Clause
"""Callers are identified by the present state, and refused without a hint about the reason."""

from __future__ import annotations

from functools import reduce
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.rights import NONE, Rights
from ganeti.access.tokens import digest_of
from ganeti.config.state import ClusterState
from ganeti.errors import Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.master.access.caller_identity import INVALID_TOKEN, Callers, Identity
from ganeti.model.users import OpenIdProvider, Role, Scope
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, uuid_of
from tests.master.access.case import a_grant, a_token, a_user, by_password, by_token

NOW = 1000.0
PROVIDER = OpenIdProvider(
    uuid=uuid_of("cluster", "cluster.example.com"),
    issuer="https://id",
    client_id="ganeti",
    redirect_uri="https://here",
)


class SignedIn:
    """Sessions by their id, for whoever shows the digest ``d``."""

    def __init__(self) -> None:
        self.callers: dict[str, Caller] = {}

    def find_caller(self, session: str, digest: str) -> Caller | None:
        return self.callers.get(session) if digest == "d" else None


class CallersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = a_cluster()
        self.sessions = SignedIn()
        self.used: list[tuple[str, int]] = []
        self.callers = Callers(
            lambda: self.state,
            lambda: NOW,
            self.sessions,
            lambda token, when: self.used.append((token, when)),
        )

    def put(self, *records: Any) -> None:
        self.state = reduce(ClusterState.put, records, self.state)

    def refusal(self, caller: Caller) -> str:
        with self.assertRaises(Unauthenticated) as caught:
            self.callers.identify(caller)
        return str(caught.exception)

    # --- passwords

    def test_a_user_with_the_present_password_has_the_rights_that_were_granted(self) -> None:
        self.put(a_user("ann"), a_grant("ann", Role.VIEWER), a_grant("bea", Role.ADMIN))
        expected = Identity("ann", Rights.everywhere(Role.VIEWER), source="192.0.2.7")
        self.assertEqual(self.callers.identify(by_password("ann")), expected)

    def test_all_that_is_wrong_with_a_user_is_refused_in_the_same_words(self) -> None:
        self.put(a_user("off", disabled=True), a_user("new"), a_user("none", password=None))
        wrong = replace(by_password("new"), digest=digest_of("{scrypt}old"))
        unset = Caller(user="none", digest=digest_of(""))
        for caller in (by_password("off"), by_password("lost"), wrong, unset):
            said = f"user {caller.user} may not log in any more, or has another password"
            self.assertEqual(self.refusal(caller), said)

    def test_a_user_of_the_users_file_has_the_role_of_its_line_everywhere(self) -> None:
        who = self.callers.identify(Caller(user="auto", role=Role.OPERATOR, digest="line"))
        self.assertEqual(who.rights, Rights.everywhere(Role.OPERATOR))
        self.assertEqual((who.local, who.file_proof), (True, "line"))

    # --- OpenID Connect

    def test_an_external_user_has_the_roles_of_its_groups_and_not_those_of_its_name(self) -> None:
        grants = a_grant("group:ops", Role.OPERATOR), a_grant("ann", Role.ADMIN)
        self.put(PROVIDER, a_user("ann"), *grants)
        caller = Caller(user="ann", external=True, groups=("ops",))
        self.assertEqual(self.callers.identify(caller).rights, Rights.everywhere(Role.OPERATOR))
        without = replace(caller, groups=())
        self.assertEqual(self.callers.identify(without).rights, NONE)

    def test_an_external_user_is_refused_once_there_is_no_provider(self) -> None:
        self.assertIn("user ann may not log in", self.refusal(Caller(user="ann", external=True)))

    # --- tokens

    def test_a_token_narrows_the_rights_of_its_user_and_its_use_is_noted(self) -> None:
        scope = Scope(tags=("team-a",))
        token = a_token("t1", "ann", Role.VIEWER, scope=scope)
        self.put(a_user("ann"), a_grant("ann", Role.ADMIN), token)
        who = self.callers.identify(by_token("t1"))
        self.assertEqual((who.user, who.token, who.rights.role), ("ann", "t1", Role.VIEWER))
        self.assertEqual(who.rights.scope_tags, {"team-a"})
        self.assertEqual(self.used, [("t1", 1000)])

    def test_a_token_ends_in_the_second_in_which_it_expires(self) -> None:
        self.put(a_user("ann"), a_token("t1", "ann", expires=1001))
        self.callers.identify(by_token("t1"))
        self.put(a_token("t1", "ann", expires=1000))
        self.assertEqual(self.refusal(by_token("t1")), INVALID_TOKEN)

    def test_unknown_and_wrong_tokens_are_refused_alike_and_are_not_used(self) -> None:
        self.put(a_user("ann"), a_token("t1", "ann"))
        # The digest of nothing is what an unknown token is compared with.
        for caller in (by_token("t1", "x"), by_token("t2"), by_token("t2", "")):
            self.assertEqual(self.refusal(caller), INVALID_TOKEN)
        self.assertEqual(self.used, [])

    def test_the_token_of_a_disabled_user_is_refused(self) -> None:
        self.put(a_user("ann", disabled=True), a_token("t1", "ann"))
        self.assertIn("user ann may not log in", self.refusal(by_token("t1")))
        self.assertEqual(self.used, [])

    # --- sessions

    def test_a_session_is_good_for_what_was_shown_to_sign_in(self) -> None:
        self.put(a_user("ann"), a_grant("ann", Role.VIEWER))
        self.sessions.callers["s1"] = by_password("ann")
        who = self.callers.identify(Caller(session="s1", digest="d", source="192.0.2.9"))
        self.assertEqual((who.user, who.session, who.source), ("ann", "s1", "192.0.2.9"))
        self.put(a_user("ann", password="{scrypt}new"))
        self.assertIn("user ann", self.refusal(Caller(session="s1", digest="d")))

    def test_a_session_that_is_not_found_has_ended(self) -> None:
        self.sessions.callers["s1"] = by_password("ann")
        for caller in (Caller(session="s1", digest="x"), Caller(session="s2", digest="d")):
            self.assertEqual(self.refusal(caller), "the session has ended; sign in again")

    # --- callers that have not logged in

    def test_anonymous_callers_have_the_role_of_the_daemon_while_there_are_no_users(self) -> None:
        who = self.callers.identify(Caller(role=Role.VIEWER))
        self.assertEqual((who.user, who.rights), ("", Rights.everywhere(Role.VIEWER)))

    def test_anonymous_callers_are_refused_without_a_role(self) -> None:
        self.assertEqual(self.refusal(Caller()), "log in with a user of this cluster")

    def test_a_user_a_grant_or_a_provider_each_end_anonymous_access(self) -> None:
        bare = self.state
        for record in (a_user("ann"), a_grant("group:ops", Role.VIEWER), PROVIDER):
            self.state = bare
            self.put(record)
            self.assertIn("log in with a user", self.refusal(Caller(role=Role.ADMIN)))


class IdentityTests(SynchronousTestCase):
    def test_the_audit_trail_names_the_user_and_all_means(self) -> None:
        who = Identity("ann", NONE, token="t1", session="s1", source="192.0.2.7")
        self.assertEqual(who.called, "ann")
        self.assertEqual(who.means, "from 192.0.2.7 by token t1 in a session")

    def test_a_caller_that_has_not_logged_in_is_called_anonymous(self) -> None:
        who = Identity("", NONE)
        self.assertEqual((who.called, who.means, who.local), ("anonymous", "", False))
