# SPDX-License-Identifier: BSD-2-Clause
"""The role that a method needs follows from what it does."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import QueryFilters, QueryNodes
from ganeti.model.users import Role
from ganeti.opcodes.access import AddToken
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.opcodes.instance.lifecycle import DescribeInstances, StartInstance
from ganeti.opcodes.node import ModifyNode
from ganeti.opcodes.tags import AddTags
from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.method_roles import Permission, permission, table
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import asks, lists, opens_console, shows, streams, submits


async def answer(call: object, values: object, body: object) -> object:
    """Return something."""
    return None


class JobTests(SynchronousTestCase):
    def needs(self, opcode: Any, **over: Any) -> Permission:
        return permission(submits(opcode, **over))

    def test_the_opcode_decides(self) -> None:
        self.assertEqual(self.needs(StartInstance), Permission(Role.OPERATOR, True))
        self.assertEqual(self.needs(DescribeInstances), Permission(Role.VIEWER, True))
        self.assertEqual(self.needs(ModifyNode), Permission(Role.ADMIN, False))

    def test_the_access_level_of_a_job_does_not(self) -> None:
        needs = self.needs(ModifyNode, access=AccessLevel.LOGIN)
        self.assertEqual(needs, Permission(Role.ADMIN, False))

    def test_a_new_instance_takes_the_place_of_others(self) -> None:
        self.assertEqual(self.needs(CreateInstance), Permission(Role.OPERATOR, False))

    def test_tags_are_those_of_the_object_in_the_path(self) -> None:
        instance = self.needs(AddTags, fixed={"kind": "instance", "name": "{instance_name}"})
        self.assertEqual(instance, Permission(Role.OPERATOR, True))
        node = self.needs(AddTags, fixed={"kind": "node", "name": "{node_name}"})
        self.assertEqual(node, Permission(Role.ADMIN, False))

    def test_every_user_may_have_tokens(self) -> None:
        self.assertEqual(self.needs(AddToken), Permission(Role.VIEWER, True))


class QuestionTests(SynchronousTestCase):
    def test_the_access_level_decides(self) -> None:
        for access, role in (
            (AccessLevel.OPEN, Role.VIEWER),
            (AccessLevel.LOGIN, Role.VIEWER),
            (AccessLevel.METERED, Role.VIEWER),
            (AccessLevel.WRITE, Role.OPERATOR),
            (AccessLevel.ADMIN, Role.ADMIN),
        ):
            self.assertEqual(permission(asks(answer, access=access)), Permission(role, True))

    def test_what_is_about_the_whole_cluster_is_not_for_limited_roles(self) -> None:
        self.assertFalse(permission(asks(answer, unlimited=True)).limited)
        self.assertFalse(permission(MetricsVerb()).limited)

    def test_some_kinds_of_objects_are_not_for_them_either(self) -> None:
        nodes = lists("node", "nodes", ("name",), lambda f: QueryNodes(names=(), fields=f), ("id",))
        rules = lists(
            "filter", "filters", ("uuid",), lambda f: QueryFilters(uuids=None, fields=f), ("uuid",)
        )
        found = [permission(each).limited for each in (nodes, rules)]
        self.assertEqual(found, [True, False])
        self.assertTrue(permission(shows("node", "node_name", ("name",))).limited)

    def test_streams_and_consoles_are_for_those_who_see_something(self) -> None:
        for verb in (streams(), opens_console()):
            self.assertEqual(permission(verb), Permission(Role.VIEWER, True))


class TableTests(SynchronousTestCase):
    def test_it_has_a_row_for_each_method(self) -> None:
        route = Route("/2/x", {"GET": asks(answer), "PUT": submits(ModifyNode)})
        wanted = [
            ("/2/x", "GET", Permission(Role.VIEWER, True)),
            ("/2/x", "PUT", Permission(Role.ADMIN, False)),
        ]
        self.assertEqual(list(table([route])), wanted)
