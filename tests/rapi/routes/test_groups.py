# SPDX-License-Identifier: BSD-2-Clause
"""Node groups and networks are listed, shown and changed by jobs."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Code, Invalid, Refused
from ganeti.luxi.methods import QueryGroups, QueryNetworks, QueryObjects
from ganeti.opcodes.group import AddGroup, AssignNodes, ModifyGroup, RemoveGroup, RenameGroup
from ganeti.opcodes.network import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    ModifyNetwork,
    RemoveNetwork,
    RenameNetwork,
)
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.groups import GROUP_FIELDS, NETWORK_FIELDS, ROUTES
from tests.rapi.routes.case import RouteCase

GROUP, NETWORK = "/2/groups/{group_name}", "/2/networks/{network_name}"
RACK1, LAN = {"group_name": "rack1"}, {"network_name": "lan"}


class GroupTests(RouteCase):
    ROUTES = ROUTES

    def do(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        """Call a method of a group; the opcode of its job."""
        self.answer(method, GROUP + path, body, variables=RACK1, **how)
        return self.job()

    def test_each_change_is_a_job(self) -> None:
        self.assertEqual(self.do("DELETE", ""), RemoveGroup(group_name="rack1"))
        renamed = RenameGroup(group_name="rack1", new_name="rack2")
        self.assertEqual(self.do("PUT", "/rename", {"new_name": "rack2"}), renamed)

    def test_a_new_one_is_named_in_the_body(self) -> None:
        for name in ("name", "group_name"):
            self.answer("POST", "/2/groups", {name: "rack1"})
            self.assertEqual(self.job(), AddGroup(group_name="rack1"))
        error = self.refusal(Invalid, "POST", "/2/networks", {"name": "lan"})
        self.assertEqual([each.path for each in error.problems], ["network"])

    def test_nodes_are_assigned_with_force_in_the_query_or_the_body(self) -> None:
        wanted = AssignNodes(group_name="rack1", nodes=("node1",), force=True)
        nodes = {"nodes": ["node1"]}
        self.assertEqual(self.do("PUT", "/assign-nodes", nodes, query={"force": ["1"]}), wanted)
        self.assertEqual(self.do("PUT", "/assign-nodes", {**nodes, "force": True}), wanted)

    def test_settings_may_have_the_names_under_which_they_are_shown(self) -> None:
        parameters = {"oob_program": "/bin/helper"}
        wanted = ModifyGroup(group_name="rack1", ndparams=parameters)
        for name in ("ndparams", "custom_ndparams"):
            self.assertEqual(self.do("PUT", "/modify", {name: parameters}), wanted)

    def test_a_problem_is_told_under_the_name_of_the_client(self) -> None:
        error = self.refusal(
            Invalid, "PUT", GROUP + "/modify", {"custom_ndparams": 7}, variables=RACK1
        )
        self.assertEqual([each.path for each in error.problems], ["custom_ndparams"])

    def test_one_is_shown_with_its_fields(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "rack1"}]
        self.assertEqual(self.answer("GET", GROUP, variables=RACK1), {"name": "rack1"})
        asked = QueryObjects(what="group", fields=GROUP_FIELDS, names=("rack1",))
        self.assertEqual(self.master.asked, [asked])

    def test_one_that_there_is_not_is_unknown(self) -> None:
        self.master.canned[QueryObjects] = []
        error = self.refusal(Refused, "GET", GROUP, variables=RACK1)
        self.assertEqual((str(error), error.code), ("group rack1 does not exist", Code.UNKNOWN))

    def test_the_list_has_names_with_addresses(self) -> None:
        self.master.canned = {QueryGroups: [["rack1"], ["a/b"]], QueryNetworks: [["lan"]]}
        wanted = [
            {"name": "rack1", "uri": "/2/groups/rack1"},
            {"name": "a/b", "uri": "/2/groups/a%2Fb"},
        ]
        self.assertEqual(self.answer("GET", "/2/groups"), wanted)
        lan = [{"name": "lan", "uri": "/2/networks/lan"}]
        self.assertEqual(self.answer("GET", "/2/networks"), lan)


class NetworkTests(RouteCase):
    ROUTES = ROUTES

    def do(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        """Call a method of a network; the opcode of its job."""
        self.answer(method, NETWORK + path, body, variables=LAN, **how)
        return self.job()

    def test_each_change_is_a_job(self) -> None:
        attached: dict[str, Any] = {"network_mode": "bridged", "network_link": "br0"}
        group: dict[str, Any] = {"group_name": "rack1"}
        for method, path, body, wanted in (
            ("DELETE", "", None, RemoveNetwork(network_name="lan")),
            (
                "PUT",
                "/connect",
                {**group, **attached},
                ConnectNetwork(network_name="lan", **group, **attached),
            ),
            ("PUT", "/disconnect", group, DisconnectNetwork(network_name="lan", **group)),
            (
                "PUT",
                "/rename",
                {"new_name": "wan"},
                RenameNetwork(network_name="lan", new_name="wan"),
            ),
            (
                "PUT",
                "/modify",
                {"mac_prefix": "aa:00:01"},
                ModifyNetwork(network_name="lan", mac_prefix="aa:00:01"),
            ),
        ):
            self.assertEqual(self.do(method, path, body), wanted)

    def test_a_new_one_has_a_name_and_addresses(self) -> None:
        self.answer("POST", "/2/networks", {"name": "lan", "network": "192.0.2.0/24"})
        wanted = AddNetwork(network_name="lan", network="192.0.2.0/24")
        self.assertEqual(self.job(), wanted)

    def test_a_removal_can_be_forced(self) -> None:
        wanted = RemoveNetwork(network_name="lan", force=True)
        self.assertEqual(self.do("DELETE", "", query={"force": ["1"]}), wanted)

    def test_one_is_shown_with_its_fields(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "lan"}]
        self.answer("GET", NETWORK, variables=LAN)
        asked = QueryObjects(what="network", fields=NETWORK_FIELDS, names=("lan",))
        self.assertEqual(self.master.asked, [asked])

    def test_what_changes_something_needs_a_login_with_that_right(self) -> None:
        for route in ROUTES:
            for method, verb in route.verbs.items():
                level = AccessLevel.OPEN if method == "GET" else AccessLevel.WRITE
                self.assertIs(verb.access, level, f"{method} {route.path}")
