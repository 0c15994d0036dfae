# SPDX-License-Identifier: BSD-2-Clause
"""Users of the remote API, their roles, and their tokens."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.passwords import hashed
from ganeti.access.tokens import MAX_LIFETIME
from ganeti.config.state import ClusterState
from ganeti.errors import Invalid, Refused
from ganeti.opcodes.access import AddToken, AddUser
from ganeti.opcodes.writing import redact
from ganeti.testing.builders import a_cluster, uuid_of
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
