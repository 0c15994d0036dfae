# SPDX-License-Identifier: BSD-2-Clause
"""The cluster, queries of any kind of object, and job filters."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from ganeti.errors import Code, Invalid, Refused, RemoteError
from ganeti.luxi.methods import (
    DeleteFilter,
    Query,
    QueryClusterInfo,
    QueryFields,
    QueryFilters,
    ReplaceFilter,
)
from ganeti.opcodes.cluster import ModifyCluster, RedistributeConfig
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.routes.cluster import FEATURES, FILTER_FIELDS, KINDS, ROUTES, VERSION
from tests.rapi.asking import WHEN
from tests.rapi.routes.case import RouteCase

QUERY, FIELDS = "/2/query/{resource}", "/2/query/{resource}/fields"
FILTER, UUID = "/2/filters/{filter_uuid}", "6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa"


class ClusterTests(RouteCase):
    ROUTES = ROUTES

    def test_the_version_and_the_features_are_those_of_ganeti(self) -> None:
        self.assertEqual(self.answer("GET", "/version"), VERSION)
        self.assertEqual(self.answer("GET", "/2/features"), FEATURES)

    def test_information_has_two_properties_under_their_older_names_too(self) -> None:
        known = {"name": "c", "volume_group_name": "vg0", "drbd_usermode_helper": None}
        self.master.canned[QueryClusterInfo] = known
        found = self.answer("GET", "/2/info")
        self.assertEqual(found, {**known, "vg_name": "vg0", "drbd_helper": None})

    def test_information_without_them_has_none(self) -> None:
        self.master.canned[QueryClusterInfo] = {"name": "a } b"}
        wanted = {"name": "a } b", "vg_name": None, "drbd_helper": None}
        self.assertEqual(self.answer("GET", "/2/info"), wanted)

    def test_only_definitions_that_can_be_used_are_listed_by_variant(self) -> None:
        rows: list[list[Any]] = [
            ["noop", [], True, False, False],
            ["debian", ["12", "13"], True, False, False],
            ["broken", [], False, False, False],
            ["hidden", [], True, True, False],
            ["banned", [], True, False, True],
        ]
        cells = [[[0, value] for value in row] for row in rows]
        self.master.canned[Query] = {"fields": [], "data": cells}
        self.assertEqual(self.answer("GET", "/2/os"), ["noop", "debian+12", "debian+13"])

    def test_settings_are_changed_by_a_job(self) -> None:
        self.answer("PUT", "/2/modify", {"mac_prefix": "aa:00:01"}, query={"force": ["1"]})
        self.assertEqual(self.job(), ModifyCluster(mac_prefix="aa:00:01", force=True))
        self.answer("PUT", "/2/redistribute-config")
        self.assertEqual(self.job(), RedistributeConfig())

    def test_programs_to_run_are_not_set_from_outside(self) -> None:
        body = {"mac_prefix": "aa:00:01", "compression_tools": ["gzip"]}
        error = self.refusal(HttpProblem, "PUT", "/2/modify", body)
        self.assertEqual(error.status, HTTPStatus.FORBIDDEN)
        self.assertIn("compression_tools: programs to run", str(error))


class QueryTests(RouteCase):
    ROUTES = ROUTES
    NODES = {"resource": "node"}

    def setUp(self) -> None:
        super().setUp()
        self.master.canned = {Query: {"fields": [], "data": []}, QueryFields: {"fields": []}}

    def test_all_objects_of_a_kind_are_asked_for_by_fields(self) -> None:
        query = {"fields": ["name, pip"]}
        found = self.answer("GET", QUERY, variables=self.NODES, query=query)
        self.assertEqual(found, {"fields": [], "data": []})
        self.assertEqual(self.master.asked, [Query(what="node", fields=("name", "pip"))])

    def test_a_filter_has_two_names(self) -> None:
        wanted = ["==", "name", "node1"]
        for body in (
            {"qfilter": wanted},
            {"filter": wanted},
            {"qfilter": wanted, "filter": wanted},
        ):
            self.answer("PUT", QUERY, {"fields": ["name"], **body}, variables=self.NODES)
        asked = Query(what="node", fields=("name",), qfilter=wanted)
        self.assertEqual(self.master.asked, [asked] * 3)

    def test_two_different_filters_are_refused(self) -> None:
        body = {"fields": ["name"], "qfilter": ["?", "offline"], "filter": ["?", "drained"]}
        error = self.refusal(Invalid, "PUT", QUERY, body, variables=self.NODES)
        self.assertEqual([each.path for each in error.problems], ["filter"])

    def test_fields_may_be_in_the_query_and_must_be_given(self) -> None:
        query = {"fields": ["name"]}
        self.answer("PUT", QUERY, {}, variables=self.NODES, query=query)
        self.assertEqual(self.master.asked, [Query(what="node", fields=("name",))])
        for method in ("GET", "PUT"):
            error = self.refusal(Invalid, method, QUERY, variables=self.NODES)
            self.assertEqual(str(error), "fields: is required")

    def test_a_kind_that_there_is_not_is_not_found(self) -> None:
        query = {"fields": ["name"]}
        for method, path in (("GET", QUERY), ("PUT", QUERY), ("GET", FIELDS)):
            error = self.refusal(
                HttpProblem, method, path, variables={"resource": "vm"}, query=query
            )
            self.assertEqual(error.status, HTTPStatus.NOT_FOUND)
            for kind in KINDS:
                self.assertIn(kind, str(error))

    def test_definitions_are_those_of_some_fields_or_all(self) -> None:
        self.answer("GET", FIELDS, variables=self.NODES)
        self.answer("GET", FIELDS, variables=self.NODES, query={"fields": ["name"]})
        wanted = [QueryFields(what="node", fields=names) for names in (None, ("name",))]
        self.assertEqual(self.master.asked, wanted)


class FilterTests(RouteCase):
    ROUTES = ROUTES
    ONE = {"filter_uuid": UUID}

    def setUp(self) -> None:
        super().setUp()
        self.master.canned = {ReplaceFilter: UUID, DeleteFilter: lambda _: None}

    def sent(self) -> ReplaceFilter:
        asked = self.master.asked[-1]
        assert isinstance(asked, ReplaceFilter)
        return asked

    def test_what_is_missing_or_null_is_the_default(self) -> None:
        for body in ({}, dict.fromkeys(("priority", "predicates", "action", "reason"))):
            self.assertEqual(self.answer("POST", "/2/filters", body), UUID)
            sent = self.sent()
            self.assertEqual((sent.uuid, sent.priority), (None, 0))
            self.assertEqual((list(sent.predicates), sent.action), ([], "CONTINUE"))

    def test_the_trail_ends_with_the_resource(self) -> None:
        body = {"reason": [["me", "why", 1]]}
        self.answer("PUT", FILTER, body, variables=self.ONE, query={"reason": ["rain"]})
        sent = self.sent()
        self.assertEqual(sent.uuid, UUID)
        own = [["gnt:user", "rain", WHEN], ["gnt:library:rlib2:name", "", WHEN]]
        self.assertEqual(list(map(list, sent.reason)), [["me", "why", 1], *own])

    def test_the_master_refuses_a_trail_that_is_none(self) -> None:
        self.answer("POST", "/2/filters", {"reason": "rain"})
        self.assertEqual(self.sent().reason, "rain")

    def test_one_is_shown(self) -> None:
        self.master.canned[QueryFilters] = [[7, 0, [], "PAUSE", [], UUID]]
        found = self.answer("GET", FILTER, variables=self.ONE)
        self.assertEqual((found["watermark"], found["uuid"]), (7, UUID))
        wanted = QueryFilters(uuids=(UUID,), fields=FILTER_FIELDS)
        self.assertEqual(self.master.asked, [wanted])

    def test_one_that_there_is_not_is_unknown(self) -> None:
        self.master.canned[QueryFilters] = []
        self.master.canned[DeleteFilter] = RemoteError("GenericError", ["no such filter"])
        for method in ("GET", "DELETE"):
            error = self.refusal(Refused, method, FILTER, variables=self.ONE)
            self.assertEqual(error.code, Code.UNKNOWN)
            self.assertEqual(str(error), f"job filter {UUID} does not exist")

    def test_another_error_of_a_removal_stays_as_it_is(self) -> None:
        self.master.canned[QueryFilters] = [[UUID]]
        self.master.canned[DeleteFilter] = RemoteError("GenericError", ["the disk is full"])
        error = self.refusal(RemoteError, "DELETE", FILTER, variables=self.ONE)
        self.assertIn("the disk is full", str(error))

    def test_one_is_removed(self) -> None:
        self.assertIs(self.answer("DELETE", FILTER, variables=self.ONE), None)
        self.assertEqual(self.master.asked, [DeleteFilter(uuid=UUID)])

    def test_rules_are_changed_by_administrators(self) -> None:
        for path, method in (("/2/filters", "POST"), (FILTER, "PUT"), (FILTER, "DELETE")):
            self.assertIs(self.verb(method, path).access, AccessLevel.ADMIN)

    def test_the_schema_of_a_rule_says_what_the_master_wants(self) -> None:
        body: Any = getattr(self.verb("POST", "/2/filters"), "body", None)
        schema = msgspec.json.schema(body)["$defs"]["Rule"]["properties"]
        self.assertEqual(schema["priority"]["type"], "integer")
