# SPDX-License-Identifier: BSD-2-Clause
"""Each role is answered what its row of the table says, for every method of every route."""

from __future__ import annotations

import re
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from ganeti.access import permissions
from ganeti.luxi.methods import METHODS
from ganeti.model.users import Role
from ganeti.opcodes.registry import OPCODES
from ganeti.rapi.method_roles import Permission, table
from ganeti.rapi.routes.route_table import ROUTES
from tests.master.access.case import a_grant, a_user
from tests.rapi.access.case import HASH, SecuredCase
from tools.roles import DOCUMENT, with_table

BODIES = {"/2/access/users": {"user_name": "new"}, "/2/instances-multi-alloc": {"instances": []}}


class TableTests(SynchronousTestCase):
    def test_the_document_has_the_table_as_it_is(self) -> None:
        text = DOCUMENT.read_text()
        self.assertEqual(text, with_table(text), "run python -m tools.roles")

    def test_the_tables_name_what_there_is(self) -> None:
        self.assertEqual(permissions.METHODS.keys() - METHODS.keys(), set())
        named = {*permissions.OPCODES, *permissions.ON_INSTANCE, *permissions.OWN_TOKENS}
        self.assertEqual(named - set(OPCODES), set())
        for name, declared in permissions.ON_INSTANCE.items():
            fields = set(OPCODES[name].__struct_fields__)
            self.assertEqual({declared.name, declared.uuid, *declared.fields} - fields, set(), name)

    def test_what_changes_something_needs_more_than_a_viewer(self) -> None:
        own = {("/2/access/tokens", "POST"), ("/2/access/tokens/{token_id}", "DELETE")}
        own |= {("/2/access/session", "POST"), ("/2/access/session", "DELETE")}
        own |= {("/2/access/sessions/{session_id}", "DELETE")}
        questions = {("/2/query/{resource}", "PUT")}
        weak = {
            (path, method)
            for path, method, needs in table(ROUTES)
            if method != "GET" and needs.role is Role.VIEWER
        }
        self.assertEqual(weak - own - questions, set())


def rows() -> Iterator[tuple[str, str, Permission]]:
    """Each method with a path to ask for."""
    for path, method, needs in table(ROUTES):
        # The event stream does not end, and nobody has come back from a provider.
        if path not in ("/2/events", "/2/access/openid/callback"):
            yield path, method, needs


class WalkTests(SecuredCase):
    """Whoever has too little is refused by the head of a request; others are not refused."""

    def setUp(self) -> None:
        super().setUp()
        for role in Role:
            self.put(
                a_user(f"all-{role}", password=HASH),
                a_grant(f"all-{role}", role),
                a_user(f"some-{role}", password=HASH),
                a_grant(f"some-{role}", role, "team-a"),
            )

    def walk(self, user: str, role: Role | None, *, limited: bool) -> None:
        wrong = []
        for path, method, needs in rows():
            address = re.sub(r"{job_id}|{disk}", "9", path)
            address = re.sub(r"{\w*}", "web1", address).replace("/query/web1", "/query/instance")
            if path.endswith("/users/{user_name}"):
                address = "/2/access/users/nobody"
            answer = self.ask(method, address, BODIES.get(path), user=user)
            allowed = role is not None and role.includes(needs.role)
            allowed = allowed and (needs.limited or not limited)
            # Which are for everybody, or for a ticket.
            public = ("/2/access/openid/login", "/2/access/sign-in", "/2/console")
            allowed = allowed or path in public
            if (answer.status not in (401, 403)) != allowed:
                wrong.append(f"{method} {path}: {answer.status}")
        self.assertEqual(wrong, [])

    def test_viewers(self) -> None:
        self.walk("all-viewer", Role.VIEWER, limited=False)

    def test_operators(self) -> None:
        self.walk("all-operator", Role.OPERATOR, limited=False)

    def test_administrators(self) -> None:
        self.walk("all-admin", Role.ADMIN, limited=False)

    def test_viewers_of_some_instances(self) -> None:
        self.walk("some-viewer", Role.VIEWER, limited=True)

    def test_operators_of_some_instances(self) -> None:
        self.walk("some-operator", Role.OPERATOR, limited=True)

    def test_users_without_a_role(self) -> None:
        self.walk("nix", None, limited=True)
