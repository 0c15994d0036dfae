# SPDX-License-Identifier: BSD-2-Clause
"""Users of the remote API, their roles, and their tokens."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.passwords import hashed
from ganeti.access.tokens import MAX_LIFETIME
from ganeti.config.changes.access import MAX_TOKENS_OF_USER
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Refused
from ganeti.model.users import ApiToken, OpenIdProvider, Role, RoleGrant, Scope, UserAccount
from ganeti.opcodes.access import (
    AddToken,
    AddUser,
    GrantRole,
    ModifyUser,
    RemoveOpenId,
    RemoveUser,
    RevokeToken,
    SetOpenId,
)
from ganeti.opcodes.writing import redact
from ganeti.operations.access import (
    MAX_GRANTS,
    MAX_USERS,
    AddedToken,
    plan_add_token,
    plan_add_user,
    plan_grant,
    plan_modify_user,
    plan_remove_openid,
    plan_remove_user,
    plan_revoke_token,
    plan_set_openid,
    run_add_token,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.schema.records import replace
from ganeti.testing.builders import SINCE, a_cluster, a_group, uuid_of
from ganeti.testing.tools import MemoryTools
from tests.operations.whole import WholeCluster

HASH = hashed("correct horse", b"0" * 16)
TOKEN: dict[str, Any] = {"token_id": "0" * 16, "digest": "0" * 64, "user_name": "ann"}


class AccountTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster())

    @property
    def state(self) -> ClusterState:
        return self.whole.state

    def do(self, name: str, **fields: Any) -> Any:
        return self.successResultOf(self.whole.do(f"OP_ACCESS_{name}", **fields))

    def refusal(self, name: str, **fields: Any) -> str:
        doing = self.whole.do(f"OP_ACCESS_{name}", **fields)
        return str(self.failureResultOf(doing, Refused, Invalid).value)

    def test_a_user_is_added_changed_and_removed_with_all_it_has(self) -> None:
        self.do("USER_ADD", user_name="ann", password_hash=HASH)
        self.do("USER_SET_PARAMS", user_name="ann", disabled=True, note="on leave")
        self.assertEqual(self.state.users["ann"].comment, "on leave")
        self.do("ROLE_GRANT", subject="ann", role="viewer")
        self.do("TOKEN_ADD", lifetime=60, **TOKEN)
        self.do("USER_REMOVE", user_name="ann")
        self.assertFalse(self.state.users or self.state.role_grants or self.state.api_tokens)

    def test_only_slow_hashes_are_taken_for_passwords(self) -> None:
        for wrong in ("secret", "{HA1}00", "{scrypt}2$8$1$AA==", "{scrypt}3$8$1$AA==$AA=="):
            said = self.refusal("USER_ADD", user_name="ann", password_hash=wrong)
            self.assertIn("password_hash: ", said)

    def test_a_grant_is_limited_to_groups_by_what_does_not_change(self) -> None:
        self.do("USER_ADD", user_name="ann")
        grant = self.do("ROLE_GRANT", subject="ann", role="operator", groups=["default"])
        known = self.state.role_grants[grant]
        self.assertEqual(known.scope.groups, (uuid_of("group", "default"),))
        again = {"subject": "ann", "role": "operator", "groups": ["default"]}
        self.assertIn("has this role already", self.refusal("ROLE_GRANT", **again))
        self.do("ROLE_REVOKE", grant_id=grant)
        self.assertIn("there is no grant", self.refusal("ROLE_REVOKE", grant_id=grant))

    def test_roles_are_granted_to_users_that_there_are_and_to_groups(self) -> None:
        said = self.refusal("ROLE_GRANT", subject="nobody", role="viewer")
        self.assertIn("there is no user nobody", said)
        self.do("ROLE_GRANT", subject="group:Cluster Admins", role="admin")

    def test_a_token_lives_from_when_it_is_added(self) -> None:
        self.do("USER_ADD", user_name="ann")
        self.do("TOKEN_ADD", lifetime=60, **TOKEN)
        token = self.state.api_tokens["0" * 16]
        self.assertEqual(token.expires, token.created + 60)
        self.assertIn("already", self.refusal("TOKEN_ADD", lifetime=60, **TOKEN))
        said = self.refusal(
            "TOKEN_ADD", lifetime=MAX_LIFETIME + 1, **{**TOKEN, "token_id": "1" * 16}
        )
        self.assertIn("is longer than", said)

    def test_names_with_what_would_be_taken_for_something_else_are_refused(self) -> None:
        for name in ("a:b", "group:x", "<b>", "\u202eann", "a" * 65, "", "a b"):
            self.refusal("USER_ADD", user_name=name)


class SecrecyTests(SynchronousTestCase):
    def test_hashes_and_digests_are_not_shown_in_jobs(self) -> None:
        shown = str(redact(AddUser(user_name="ann", password_hash=HASH)))
        shown += str(redact(AddToken(lifetime=60, **TOKEN)))
        self.assertNotIn(HASH, shown)
        self.assertNotIn("0" * 64, shown)


ANN = UserAccount(uuid="ann", created=1, password=HASH, comment="an operator")
FACTS = NodeAnswers(identity="new-uuid", since=SINCE + 0.9)
NOW = int(SINCE)


def a_token(token_id: str = "0" * 16, user: str = "ann", **over: Any) -> ApiToken:
    fields: dict[str, Any] = {"digest": "0" * 64, "role": Role.ADMIN, "created": 1, "expires": NOW}
    return ApiToken(uuid=token_id, user=user, **{**fields, **over})


def with_ann(*tokens: ApiToken) -> ClusterState:
    """Return a cluster with the user ann and these tokens."""
    state = a_cluster(groups=["default", a_group("east")]).put(ANN)
    for token in tokens:
        state = state.put(token)
    return state


class UserPlanTests(SynchronousTestCase):
    def test_a_new_user_has_no_password_unless_given(self) -> None:
        plan = plan_add_user(AddUser(user_name="bob", note="a program"), with_ann(), FACTS)
        self.assertEqual(plan.locks, {})
        self.assertEqual(
            plan.change(with_ann()).users["bob"],
            UserAccount(uuid="bob", created=NOW, comment="a program"),
        )

    def test_a_name_is_of_one_user(self) -> None:
        with self.assertRaisesRegex(Refused, "there is a user ann already") as caught:
            plan_add_user(AddUser(user_name="ann"), with_ann(), FACTS)
        self.assertEqual(caught.exception.code, Code.EXISTS)

    def test_the_number_of_users_has_a_limit(self) -> None:
        state = a_cluster()
        for number in range(MAX_USERS):
            state = state.put(UserAccount(uuid=f"user{number}", created=1))
        with self.assertRaisesRegex(Refused, "there are 10000 users, which is the most") as caught:
            plan_add_user(AddUser(user_name="bob"), state, FACTS)
        self.assertEqual(caught.exception.code, Code.RESOURCES)
        fewer = state.remove(state.users["user1"])
        self.assertIn(
            "bob", plan_add_user(AddUser(user_name="bob"), fewer, FACTS).change(fewer).users
        )

    def test_only_given_fields_of_a_user_change(self) -> None:
        for fields, expected in (
            ({"disabled": True}, replace(ANN, disabled=True)),
            ({"note": ""}, replace(ANN, comment="")),
            ({"remove_password": True}, replace(ANN, password=None)),
        ):
            op = ModifyUser(user_name="ann", **fields)
            changed = plan_modify_user(op, with_ann(), FACTS).change(with_ann())
            self.assertEqual(changed.users["ann"], expected, fields)

    def test_a_change_of_a_user_that_makes_no_sense_is_refused(self) -> None:
        for fields, words in (
            ({}, "nothing is to be changed of user ann"),
            ({"remove_password": True, "password_hash": HASH}, "goes without a new password"),
            ({"password_hash": "{HA1}00"}, "password_hash: must begin with {scrypt}"),
        ):
            with self.assertRaisesRegex((Refused, Invalid), words):
                plan_modify_user(ModifyUser(user_name="ann", **fields), with_ann(), FACTS)

    def test_a_user_that_does_not_exist_is_named(self) -> None:
        words = "there is no user bob; gnt-access user list shows them"
        with self.assertRaisesRegex(Refused, words):
            plan_modify_user(ModifyUser(user_name="bob", note=""), with_ann(), FACTS)
        with self.assertRaisesRegex(Refused, words):
            plan_remove_user(RemoveUser(user_name="bob"), with_ann(), FACTS)

    def test_a_removed_user_takes_only_its_own_grants_and_tokens(self) -> None:
        grant = RoleGrant(uuid="1", subject="group:ann", role=Role.VIEWER, created=1)
        state = with_ann(a_token(), a_token("1" * 16, "bob")).put(grant)
        state = state.put(replace(grant, uuid="2", subject="ann"))
        left = plan_remove_user(RemoveUser(user_name="ann"), state, FACTS).change(state)
        self.assertEqual((set(left.role_grants), set(left.api_tokens)), ({"1"}, {"1" * 16}))


class GrantPlanTests(SynchronousTestCase):
    def grant(self, **fields: Any) -> GrantRole:
        return GrantRole(**{"subject": "ann", "role": Role.OPERATOR, **fields})

    def test_a_scope_is_sorted_and_without_duplicates(self) -> None:
        op = self.grant(tags=("b", "a", "b"), groups=("east", "default"), owners=("bob", "ann"))
        plan = plan_grant(op, with_ann(), FACTS)
        scope = Scope(
            tags=("a", "b"),
            groups=tuple(sorted(uuid_of("group", name) for name in ("default", "east"))),
            owners=("ann", "bob"),
        )
        expected = RoleGrant(
            uuid="new-uuid", subject="ann", role=Role.OPERATOR, created=NOW, scope=scope
        )
        self.assertEqual(plan.change(with_ann()).role_grants["new-uuid"], expected)
        self.assertEqual(plan.result, "new-uuid")

    def test_the_same_role_may_be_granted_in_another_scope(self) -> None:
        state = plan_grant(self.grant(tags=("a",)), with_ann(), FACTS).change(with_ann())
        with self.assertRaisesRegex(Refused, "ann has this role already, by grant new-uuid"):
            plan_grant(self.grant(tags=("a", "a")), state, FACTS)
        for other in ({"tags": ("b",)}, {}, {"tags": ("a",), "role": Role.VIEWER}):
            plan_grant(self.grant(**other), state, FACTS)

    def test_owners_and_groups_are_checked(self) -> None:
        with self.assertRaisesRegex(Invalid, "owners: a b is no name of a user"):
            plan_grant(self.grant(owners=("a b", "ann")), with_ann(), FACTS)
        with self.assertRaisesRegex(Refused, "west"):
            plan_grant(self.grant(groups=("west",)), with_ann(), FACTS)

    def test_the_number_of_grants_has_a_limit(self) -> None:
        state = with_ann()
        for number in range(MAX_GRANTS):
            grant = RoleGrant(uuid=str(number), subject="ann", role=Role.VIEWER, created=number)
            state = state.put(grant)
        with self.assertRaisesRegex(Refused, "there are 10000 grants, which is the most"):
            plan_grant(self.grant(), state, FACTS)
        plan_grant(self.grant(), state.remove(state.role_grants["0"]), FACTS)


class TokenPlanTests(SynchronousTestCase):
    def add(self, **fields: Any) -> AddToken:
        return AddToken(**{**TOKEN, "lifetime": 60, **fields})

    def test_the_lifetime_has_a_limit(self) -> None:
        plan_add_token(self.add(lifetime=MAX_LIFETIME), with_ann(), FACTS)
        words = f"lifetime: is longer than {MAX_LIFETIME} seconds"
        with self.assertRaisesRegex(Invalid, words):
            plan_add_token(self.add(lifetime=MAX_LIFETIME + 1), with_ann(), FACTS)

    def test_the_tokens_of_a_user_have_a_limit(self) -> None:
        valid: dict[str, Any] = {"expires": NOW + 60}
        tokens = [a_token(f"{number:016x}", **valid) for number in range(1, MAX_TOKENS_OF_USER)]
        others = [a_token("f" * 16, "bob", **valid)]
        plan_add_token(self.add(), with_ann(*tokens, *others), FACTS)
        tokens.append(a_token("e" * 16, **valid))
        with self.assertRaisesRegex(Refused, "has 100 valid tokens, which is the most") as caught:
            plan_add_token(self.add(), with_ann(*tokens), FACTS)
        self.assertEqual(caught.exception.code, Code.RESOURCES)

    def test_expired_tokens_make_room_the_oldest_first(self) -> None:
        valid = [a_token("f" * 16, expires=NOW + 60), a_token("e" * 16, "bob")]
        expired = [
            a_token(f"{number:016x}", expires=NOW - number)
            for number in range(1, MAX_TOKENS_OF_USER + 1)
        ]
        state = with_ann(*valid, *expired)
        plan = plan_add_token(self.add(), state, FACTS)
        done = self.successResultOf(run_add_token(plan, MemoryTools(state).tools))
        left = done.change(state).api_tokens
        gone = set(state.api_tokens) - set(left)
        self.assertEqual(gone, {f"{number:016x}" for number in (99, 100)})
        self.assertEqual(len(left), MAX_TOKENS_OF_USER + 1)

    def test_a_token_needs_a_user_and_an_identifier_of_its_own(self) -> None:
        with self.assertRaisesRegex(Refused, "there is no user bob"):
            plan_add_token(self.add(user_name="bob"), with_ann(), FACTS)
        with self.assertRaisesRegex(Refused, "there is a token 0000000000000000 already"):
            plan_add_token(self.add(), with_ann(a_token()), FACTS)

    def test_a_token_begins_when_it_is_added_with_the_planned_scope(self) -> None:
        op = self.add(role=Role.VIEWER, note="backup", tags=("a",))
        plan, tools = plan_add_token(op, with_ann(), FACTS), MemoryTools(with_ann())
        tools.time.now = SINCE + 100.5
        done = self.successResultOf(run_add_token(plan, tools.tools))
        self.assertEqual((plan, done.result), (AddedToken(op, Scope(tags=("a",))), "0" * 16))
        self.assertEqual(plan.locks, {})
        expected = a_token(
            role=Role.VIEWER,
            created=NOW + 100,
            expires=NOW + 160,
            scope=Scope(tags=("a",)),
            comment="backup",
        )
        self.assertEqual(done.change(with_ann()).api_tokens["0" * 16], expected)

    def test_only_a_token_that_exists_is_revoked(self) -> None:
        op = RevokeToken(token_id="0" * 16)
        state = with_ann(a_token())
        self.assertEqual(len(plan_revoke_token(op, state, FACTS).change(state).api_tokens), 0)
        words = "there is no token 0000000000000000; gnt-access token list shows them"
        with self.assertRaisesRegex(Refused, words):
            plan_revoke_token(op, with_ann(), FACTS)


class OpenIdPlanTests(SynchronousTestCase):
    def settings(self, **fields: Any) -> SetOpenId:
        known = {
            "issuer": "https://login.example.com",
            "client_id": "cluster",
            "redirect_uri": "https://cluster.example.com:5080/2/access/openid/callback",
        }
        return SetOpenId(**{**known, **fields})

    def test_all_settings_are_replaced(self) -> None:
        state = a_cluster()
        first = self.settings(client_secret="secret", groups_claim="roles")
        state = plan_set_openid(first, state, FACTS).change(state)
        state = plan_set_openid(self.settings(), state, FACTS).change(state)
        expected = OpenIdProvider(
            uuid=state.cluster.uuid,
            issuer="https://login.example.com",
            client_id="cluster",
            redirect_uri="https://cluster.example.com:5080/2/access/openid/callback",
        )
        self.assertEqual(state.openid, expected)

    def test_every_problem_is_reported_at_once(self) -> None:
        op = self.settings(issuer="http://login.example.com", redirect_uri="x", scopes=("email",))
        with self.assertRaises(Invalid) as caught:
            plan_set_openid(op, a_cluster(), FACTS)
        address = "must be an address with https://, or of this host"
        self.assertEqual(
            [str(problem) for problem in caught.exception.problems],
            [
                f"issuer: {address}",
                f"redirect_uri: {address}",
                "scopes: must have openid among them",
            ],
        )

    def test_a_provider_on_this_host_needs_no_tls(self) -> None:
        op = self.settings(issuer="http://127.0.0.1:8080/", redirect_uri="http://localhost/")
        self.assertIsNotNone(plan_set_openid(op, a_cluster(), FACTS).change(a_cluster()).openid)

    def test_only_a_provider_that_exists_is_removed(self) -> None:
        with self.assertRaisesRegex(Refused, "there is no OpenID provider"):
            plan_remove_openid(RemoveOpenId(), a_cluster(), FACTS)
        state = plan_set_openid(self.settings(), a_cluster(), FACTS).change(a_cluster())
        self.assertIsNone(plan_remove_openid(RemoveOpenId(), state, FACTS).change(state).openid)
