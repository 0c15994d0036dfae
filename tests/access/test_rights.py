# SPDX-License-Identifier: BSD-2-Clause
"""What callers of the remote API may do; a token never allows more than its user may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.access.rights import NONE, Right, Rights, rights_of, scope_tags
from ganeti.config.state import ClusterState
from ganeti.model.instance import Instance
from ganeti.model.users import ApiToken, Role, RoleGrant, Scope
from ganeti.testing.builders import a_cluster, a_node, an_instance, uuid_of

STATE = a_cluster(
    groups=["default", "other"],
    nodes=["node1", a_node("node2", group="other")],
    instances=[
        an_instance("web1", tags=("web",)),
        an_instance("web2", node="node2", tags=("web", "owner:alice")),
        an_instance("db1", node="node2"),
    ],
)
EVERYTHING = Scope()
WEB = Scope(tags=("web",))
OTHER = Scope(groups=(uuid_of("group", "other"),))
ALICE = Scope(owners=("alice",))

SCOPES = st.sampled_from([EVERYTHING, WEB, OTHER, ALICE])
ROLES = st.sampled_from(list(Role))
RIGHTS = st.frozensets(
    st.builds(lambda role, scope: Right(role, (scope,) if scope else ()), ROLES, SCOPES),
    max_size=3,
).map(Rights)


def a_token(role: Role, scope: Scope = EVERYTHING) -> ApiToken:
    return ApiToken(uuid="1", user="bob", digest="", role=role, created=0, expires=1, scope=scope)


def a_grant(subject: str, role: Role, scope: Scope = EVERYTHING) -> RoleGrant:
    return RoleGrant(uuid=f"{subject} {role}", subject=subject, role=role, created=0, scope=scope)


def visible(rights: Rights) -> set[str]:
    return {instance.name for instance in rights.visible(STATE)}


def the(name: str) -> Instance:
    return STATE.instance(name)


class RightsTests(SynchronousTestCase):
    def test_a_scope_has_instances_by_tag_owner_or_node_group(self) -> None:
        for scope, names in (
            (WEB, {"web1", "web2"}),
            (OTHER, {"web2", "db1"}),
            (ALICE, {"web2"}),
            (Scope(tags=("web",), groups=OTHER.groups), {"web1", "web2", "db1"}),
        ):
            self.assertEqual(visible(Rights(frozenset({Right(Role.VIEWER, (scope,))}))), names)

    def test_an_unlimited_role_includes_the_lower_ones_everywhere(self) -> None:
        rights = Rights.everywhere(Role.OPERATOR)
        self.assertEqual([rights.allow(role) for role in Role], [True, True, False])
        self.assertTrue(rights.allow_on(Role.OPERATOR, the("db1"), STATE))
        self.assertFalse(rights.limited)
        self.assertEqual(visible(rights), {"web1", "web2", "db1"})

    def test_a_limited_role_allows_nothing_for_the_whole_cluster(self) -> None:
        rights = Rights(frozenset({Right(Role.ADMIN, (WEB,))}))
        self.assertFalse(rights.allow(Role.VIEWER))
        self.assertTrue(rights.limited)
        self.assertTrue(rights.allow_on(Role.ADMIN, the("web1"), STATE))
        self.assertFalse(rights.allow_on(Role.VIEWER, the("db1"), STATE))
        self.assertEqual(rights.role, Role.ADMIN)

    def test_without_rights_nothing_is_seen(self) -> None:
        self.assertEqual((visible(NONE), NONE.role, NONE.limited), (set(), None, True))

    def test_an_instance_whose_node_is_gone_is_in_no_group(self) -> None:
        state: ClusterState = a_cluster(instances=[an_instance("lost", primary_node="gone")])
        rights = Rights(frozenset({Right(Role.ADMIN, (Scope(groups=("",)), OTHER))}))
        self.assertFalse(rights.allow_on(Role.VIEWER, state.instance("lost"), state))

    @given(RIGHTS, ROLES, SCOPES)
    def test_a_token_allows_no_more_than_its_user_and_its_own_scope(
        self, rights: Rights, role: Role, scope: Scope
    ) -> None:
        by_token = rights.within(a_token(role, scope))
        own = Rights(frozenset({Right(role, (scope,) if scope else ())}))
        for instance in STATE.instances.values():
            for wanted in Role:
                allowed = by_token.allow_on(wanted, instance, STATE)
                expected = rights.allow_on(wanted, instance, STATE) and own.allow_on(
                    wanted, instance, STATE
                )
                self.assertEqual(allowed, expected, (instance.name, wanted))
        self.assertLessEqual(visible(by_token), visible(rights) & visible(own))
        for wanted in Role:
            self.assertEqual(
                by_token.allow(wanted), rights.allow(wanted) and own.allow(wanted), wanted
            )


class GrantTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = STATE
        for grant in (
            a_grant("bob", Role.VIEWER),
            a_grant("group:web", Role.OPERATOR, WEB),
            a_grant("group:bob", Role.ADMIN),
        ):
            self.state = self.state.put(grant)

    def test_a_user_has_the_grants_of_the_name_and_of_the_groups(self) -> None:
        self.assertEqual(rights_of(self.state, "bob"), Rights.everywhere(Role.VIEWER))
        both = rights_of(self.state, "bob", ["web"])
        self.assertEqual(both.rights, {Right(Role.VIEWER), Right(Role.OPERATOR, (WEB,))})

    def test_a_user_is_not_a_group_of_the_same_name(self) -> None:
        self.assertFalse(rights_of(self.state, "bob").allow(Role.ADMIN))
        self.assertEqual(rights_of(self.state, "web"), NONE)

    def test_tags_that_decide_are_those_of_all_scopes(self) -> None:
        state = self.state.put(a_token(Role.VIEWER, ALICE))
        self.assertEqual(scope_tags(state), {"web", "owner:alice"})
