# SPDX-License-Identifier: BSD-2-Clause
"""Lists of users, grants and tokens are in order, of one user if asked, and without secrets."""

from __future__ import annotations

from functools import reduce
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.master.access.access_lists import listed
from ganeti.model.users import OpenIdProvider, Role, Scope
from ganeti.testing.builders import a_cluster, uuid_of
from tests.master.access.case import a_grant, a_token, a_user

PROVIDER = OpenIdProvider(
    uuid=uuid_of("cluster", "cluster.example.com"),
    issuer="https://id",
    client_id="ganeti",
    redirect_uri="https://here",
    client_secret="hidden",
)
RECORDS: tuple[Any, ...] = (
    a_user("oli", disabled=True, comment="night shift"),
    a_user("ann", password=None),
    a_grant("oli", Role.VIEWER),
    a_grant("oli", Role.OPERATOR, "web", groups=(uuid_of("group", "g2"), "gone")),
    a_grant("group:ops", Role.ADMIN, owners=("ann",)),
    a_token("t2", "oli", created=5, used=7),
    a_token("t1", "oli", Role.VIEWER, created=9, scope=Scope(tags=("web",))),
    a_token("t0", "ann", expires=99, comment="backup"),
    PROVIDER,
)
STATE: ClusterState = reduce(ClusterState.put, RECORDS, a_cluster(groups=("default", "g2")))


class ListedTests(SynchronousTestCase):
    def test_users_are_shown_by_name_with_their_roles(self) -> None:
        ann, oli = listed(STATE, "users")
        expected = {"name": "ann", "password": False, "disabled": False}
        self.assertEqual(ann, {**expected, "created": 1, "comment": "", "roles": []})
        self.assertEqual((oli["name"], oli["roles"]), ("oli", ["operator", "viewer"]))
        shown = oli["password"], oli["disabled"], oli["comment"]
        self.assertEqual(shown, (True, True, "night shift"))

    def test_grants_name_the_groups_of_their_scope_that_exist(self) -> None:
        ops, operator, viewer = listed(STATE, "roles")
        self.assertEqual((ops["subject"], ops["owners"]), ("group:ops", ["ann"]))
        self.assertEqual((operator["tags"], operator["groups"]), (["web"], ["g2"]))
        empty = viewer["tags"], viewer["groups"], viewer["owners"]
        self.assertEqual((viewer["role"], *empty), ("viewer", [], [], []))

    def test_tokens_are_shown_by_user_and_age_and_whether_they_were_used(self) -> None:
        shown = [(t["id"], t["used"], t["expires"]) for t in listed(STATE, "tokens")]
        self.assertEqual(shown, [("t0", None, 99), ("t2", 7, 2**40), ("t1", None, 2**40)])
        self.assertEqual(listed(STATE, "tokens")[2]["tags"], ["web"])

    def test_the_lists_of_one_user_have_nothing_of_others(self) -> None:
        self.assertEqual([each["name"] for each in listed(STATE, "users", only="ann")], ["ann"])
        subjects = {each["subject"] for each in listed(STATE, "roles", only="oli")}
        self.assertEqual(subjects, {"oli"})
        self.assertEqual([each["id"] for each in listed(STATE, "tokens", only="ann")], ["t0"])
        self.assertEqual(listed(STATE, "openid", only="ann"), [])

    def test_a_caller_without_a_name_is_shown_nothing(self) -> None:
        for what in ("users", "roles", "tokens"):
            self.assertEqual(listed(STATE, what, only=""), [], what)

    def test_the_provider_is_shown_without_its_secret_once_there_is_one(self) -> None:
        self.assertEqual(listed(a_cluster(), "openid"), [])
        [shown] = listed(STATE, "openid")
        self.assertEqual((shown["issuer"], shown["scopes"]), ("https://id", ("openid", "profile")))
        self.assertNotIn("client_secret", shown)

    def test_no_list_has_a_secret(self) -> None:
        for what in ("users", "roles", "tokens", "openid"):
            text = str(listed(STATE, what))
            for secret in ("scrypt", "digest", "hidden"):
                self.assertNotIn(secret, text)

    def test_an_unknown_list_is_refused_with_those_that_there_are(self) -> None:
        said = "there are no keys; there are users, roles, tokens, sessions and openid"
        with self.assertRaisesRegex(Refused, said) as caught:
            listed(STATE, "keys")
        self.assertEqual(caught.exception.code, Code.INPUT)
