# SPDX-License-Identifier: BSD-2-Clause
"""Tags of the cluster and of objects are read, added and removed by one kind of route."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Invalid
from ganeti.luxi.methods import PlanJob, QueryTags
from ganeti.opcodes.tags import AddTags, RemoveTags, TagKind
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.tags import tags_route
from tests.rapi.routes.case import RouteCase

CLUSTER, NODE = "/2/tags", "/2/nodes/{node_name}/tags"
NODE1 = {"node_name": "node1"}


class TagTests(RouteCase):
    ROUTES = (
        tags_route("cluster", "/2", None),
        tags_route("node", "/2/nodes/{node_name}", "node_name"),
    )

    def test_they_are_asked_of_their_object(self) -> None:
        self.master.canned[QueryTags] = ["a", "b"]
        self.assertEqual(self.answer("GET", CLUSTER), ["a", "b"])
        self.assertEqual(self.answer("GET", NODE, variables=NODE1), ["a", "b"])
        asked = [QueryTags(kind="cluster", name=""), QueryTags(kind="node", name="node1")]
        self.assertEqual(self.master.asked, asked)

    def test_those_to_add_are_in_the_query_or_in_a_list(self) -> None:
        wanted = AddTags(kind=TagKind.NODE, name="node1", tags=("a", "b"))
        for how in ({"query": {"tag": ["a", "b"]}}, {"body": ["a", "b"]}):
            self.answer("PUT", NODE, variables=NODE1, **how)
            self.assertEqual(self.job(), wanted)

    def test_those_of_the_cluster_have_no_name(self) -> None:
        self.answer("DELETE", CLUSTER, query={"tag": ["a"]})
        self.assertEqual(self.job(), RemoveTags(kind=TagKind.CLUSTER, name=None, tags=("a",)))

    def test_an_empty_body_is_none(self) -> None:
        nothing: tuple[Any, ...] = (None, {})
        for body in nothing:
            self.answer("PUT", CLUSTER, body, query={"tag": ["a"]})
            self.assertEqual(self.job().tags, ("a",))

    def test_a_body_that_is_no_list_is_refused(self) -> None:
        for body in ({"tags": ["a"]}, "a", 7):
            error = self.refusal(Invalid, "PUT", CLUSTER, body, query={"tag": ["a"]})
            self.assertIn("the body must be a list of tags", str(error))

    def test_the_object_is_that_of_the_path(self) -> None:
        query = {"tag": ["a"], "name": ["node2"], "kind": ["group"]}
        error = self.refusal(Invalid, "PUT", NODE, variables=NODE1, query=query)
        self.assertEqual({each.path for each in error.problems}, {"name", "kind"})

    def test_a_change_can_be_planned(self) -> None:
        self.master.canned[PlanJob] = [{"summary": "TAGS_SET"}]
        query = {"tag": ["a"], "plan": ["1"]}
        self.assertEqual(self.answer("PUT", CLUSTER, query=query), {"summary": "TAGS_SET"})
        self.assertEqual(self.master.jobs, {})

    def test_reading_needs_no_login_and_changing_does(self) -> None:
        self.check_access(
            {
                (method, path): AccessLevel.OPEN if method == "GET" else AccessLevel.WRITE
                for path in (CLUSTER, NODE)
                for method in ("GET", "PUT", "DELETE")
            }
        )
