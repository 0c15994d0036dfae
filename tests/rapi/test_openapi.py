# SPDX-License-Identifier: BSD-2-Clause
"""The description of the API says what the routes do."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.opcodes.group import ModifyGroup, RemoveGroup
from ganeti.opcodes.instance.lifecycle import ShutdownInstance
from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.openapi import description, media_type
from ganeti.rapi.request_arguments import LOCK, ArgumentType, QueryParameter
from ganeti.rapi.routes.instances import FIELDS
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.verbs import Verb, asks, streams, submits
from ganeti.schema.records import Record
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NodeClient


class OpenApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.document = NodeClient(MemoryMaster(), self.mktemp()).ask("GET", "/2/openapi").value

    def test_every_route_and_method_is_described(self) -> None:
        paths = self.document["paths"]
        self.assertEqual(set(paths), {route.path for route in ROUTES})
        identifiers = []
        for route in ROUTES:
            for method in route.verbs:
                operation = paths[route.path][method.lower()]
                self.assertTrue(operation["summary"], route.path)
                identifiers.append(operation["operationId"])
        self.assertEqual(len(identifiers), len(set(identifiers)))

    def test_references_lead_somewhere(self) -> None:
        def references(value: Any) -> set[str]:
            if isinstance(value, list):
                return set().union(*map(references, value))
            if isinstance(value, dict):
                own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
                return own.union(*map(references, value.values()))
            return set()

        for reference in references(self.document):
            found = self.document
            for step in reference.removeprefix("#/").split("/"):
                found = found[step]

    def test_a_ticket_takes_the_place_of_a_login(self) -> None:
        console = self.document["paths"]["/2/console"]["get"]
        self.assertEqual(console["security"], [])
        self.assertLessEqual({"403", "409", "426"}, console["responses"].keys())

    def test_a_creation_is_described_in_the_words_of_the_document(self) -> None:
        operation = self.document["paths"]["/2/instances"]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        self.assertEqual(schema["required"], ["__version__", "disks", "mode", "name", "nics"])
        self.assertNotIn("instance_name", schema["properties"])
        self.assertFalse(schema["additionalProperties"])
        self.assertTrue(operation["requestBody"]["required"])
        names = [each["name"] for each in operation["parameters"]]
        self.assertEqual(names, ["dry-run", "plan", "reason"])

    def test_locks_cannot_be_asked_for(self) -> None:
        parameters = self.document["paths"]["/2/tags"]["get"]["parameters"]
        [lock] = [each for each in parameters if each["name"] == "lock"]
        self.assertEqual(lock["schema"]["enum"], [0])

    def test_a_body_that_need_not_be_there_may_be_null(self) -> None:
        body = self.document["paths"]["/2/redistribute-config"]["put"]["requestBody"]
        self.assertFalse(body["required"])
        self.assertEqual(body["content"]["application/json"]["schema"]["type"], ["object", "null"])

    def test_bodies_that_clients_leave_out_may_be_left_out(self) -> None:
        for path, method, kind in (
            ("/2/instances/{instance_name}/reinstall", "post", "object"),
            ("/2/jobs/{job_id}/wait", "get", "object"),
            ("/2/tags", "put", "array"),
        ):
            body = self.document["paths"][path][method]["requestBody"]
            self.assertFalse(body["required"])
            schema = body["content"]["application/json"]["schema"]
            self.assertEqual(schema["type"], [kind, "null"])

    def test_what_nobody_may_set_is_not_described(self) -> None:
        body = self.document["paths"]["/2/modify"]["put"]["requestBody"]
        properties = body["content"]["application/json"]["schema"]["properties"]
        self.assertIn("mac_prefix", properties)
        self.assertNotIn("compression_tools", properties)

    def test_the_role_of_a_node_must_be_said(self) -> None:
        body = self.document["paths"]["/2/nodes/{node_name}/role"]["put"]["requestBody"]
        self.assertTrue(body["required"])

    def test_choices_in_the_query_are_told(self) -> None:
        operation = self.document["paths"]["/2/instances/{instance_name}/reboot"]["post"]
        [kind] = [each for each in operation["parameters"] if each["name"] == "type"]
        choices = self.resolved(kind["schema"])["enum"]
        self.assertEqual(set(choices), {"soft", "hard", "full"})

    def test_the_reason_in_the_query_is_a_text(self) -> None:
        for path in ("/2/instances/{instance_name}/reboot", "/2/nodes/{node_name}/modify"):
            parameters = self.document["paths"][path]["post"]["parameters"]
            [reason] = [each for each in parameters if each["name"] == "reason"]
            self.assertEqual(reason["schema"], {"type": "string"})

    def test_a_change_of_storage_may_be_in_the_query(self) -> None:
        body = self.document["paths"]["/2/nodes/{node_name}/storage/modify"]["put"]["requestBody"]
        self.assertFalse(body["required"])

    def test_an_instance_among_others_needs_no_identifier_of_its_kind(self) -> None:
        required = self.document["components"]["schemas"]["CreateInstance"]["required"]
        self.assertIn("instance_name", required)
        self.assertNotIn("OP_ID", required)

    def test_what_must_be_given_in_the_query_is_not_empty(self) -> None:
        parameters = self.document["paths"]["/2/query/{resource}"]["get"]["parameters"]
        [fields] = [each for each in parameters if each["name"] == "fields"]
        self.assertEqual((fields["required"], fields["schema"]["minLength"]), (True, 1))

    def test_numbers_in_paths_have_their_limits(self) -> None:
        path = self.document["paths"]["/2/instances/{instance_name}/disk/{disk}/grow"]
        [disk] = [each for each in path["parameters"] if each["name"] == "disk"]
        self.assertEqual(disk["schema"], {"type": "integer", "minimum": 0, "maximum": 15})

    def test_errors_are_told_one_by_one(self) -> None:
        statuses = self.statuses("/2/info", "get")
        self.assertIn("401", statuses)
        self.assertTrue(statuses.isdisjoint({"404", "503", "default"}))
        self.assertLess({"403", "404"}, self.statuses("/2/nodes/{node_name}/modify", "post"))
        self.assertIn("503", self.statuses("/2/instances/{instance_name}/console", "get"))

    def statuses(self, path: str, method: str) -> set[str]:
        return set(self.document["paths"][path][method]["responses"])

    def test_what_lists_and_objects_hold_is_told(self) -> None:
        for path, method in (("/2/instances", "get"), ("/2/instances/{instance_name}", "get")):
            answer = self.document["paths"][path][method]["responses"]["200"]
            schema = answer["content"]["application/json"]["schema"]
            if path == "/2/instances":
                brief, schema = schema["items"]["anyOf"]
                self.assertEqual(brief["required"], ["id", "name", "uri"])
            self.assertEqual(schema["required"], list(FIELDS))
            self.assertFalse(schema["additionalProperties"])

    def test_no_answer_is_left_undescribed(self) -> None:
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                if method != "parameters":
                    [answer] = operation["responses"]["200"]["content"].values()
                    self.assertTrue(answer["schema"], f"{method} {path}")

    def test_the_event_stream_is_described_as_one(self) -> None:
        operation = self.document["paths"]["/2/events"]["get"]
        self.assertEqual(list(operation["responses"]["200"]["content"]), ["text/event-stream"])
        names = [each["name"] for each in operation["parameters"]]
        self.assertEqual(names, ["since", "kind", "name", "tag", "Last-Event-ID"])
        logins: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}, {"session": []}]
        self.assertEqual(operation["security"], logins)

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in schema:
            return schema
        found: dict[str, Any] = self.document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found


class Wanted(Record):
    """A body with a field that must be given."""

    size: int
    note: str = ""


class Optional(Record):
    """A body of which nothing must be given."""

    note: str = ""


async def answer(call: object, values: object, body: object) -> object:
    """Return something."""
    return None


class OperationTests(SynchronousTestCase):
    """The description of a single route."""

    def described(self, verb: Verb, path: str = "/2/things", method: str = "GET") -> Any:
        document = description([Route(path, {method: verb})])
        self.schemas = document["components"]["schemas"]
        return document["paths"][path][method.lower()]

    def body(self, verb: Verb, path: str = "/2/things") -> Any:
        request = self.described(verb, path, "PUT")["requestBody"]
        return request["required"], request["content"]["application/json"]["schema"]

    def test_the_words_of_the_path_identify_an_operation(self) -> None:
        for path, identifier in (
            ("/2/things/{thing_name}/parts", "get_things_thing_name_parts"),
            ("/2", "get_v2_resources"),
            ("/", "get_resources"),
        ):
            self.assertEqual(self.described(asks(answer), path)["operationId"], identifier)

    def test_the_login_that_it_needs_is_told(self) -> None:
        login = self.described(asks(answer, access=AccessLevel.ADMIN))
        self.assertEqual(len(login["security"]), 3)
        text = "Needs a login with the option write, or as an administrator."
        self.assertEqual(login["description"], text)
        self.assertNotIn("security", self.described(asks(answer)))
        self.assertEqual(self.described(asks(answer, access=AccessLevel.TICKET))["security"], [])

    def test_parameters_of_the_query_have_types_and_defaults(self) -> None:
        number = QueryParameter("limit", ArgumentType.NUMBER, "How many.", default=100)
        text = QueryParameter("name", ArgumentType.TEXT, "Of what.", required=True)
        first, second, lock = self.described(asks(answer, parameters=(number, text, LOCK)))[
            "parameters"
        ]
        self.assertEqual(first["schema"], {"type": "integer", "minimum": 0, "default": 100})
        self.assertEqual(second["schema"], {"type": "string", "minLength": 1})
        self.assertEqual((first["required"], second["required"]), (False, True))
        self.assertEqual(lock["schema"]["enum"], [0])

    def test_parameters_that_set_a_field_have_its_schema(self) -> None:
        verb = submits(ShutdownInstance, query=("admin_state_source",))
        [source] = [
            each
            for each in self.described(verb)["parameters"]
            if each["name"] == "admin_state_source"
        ]
        self.assertNotIn("anyOf", source["schema"])
        self.assertNotIn("description", source["schema"])

    def test_a_body_with_a_required_field_is_required(self) -> None:
        required, schema = self.body(asks(answer, body=Wanted))
        self.assertEqual((required, schema["required"]), (True, ["size"]))
        self.assertNotIn("title", schema)

    def test_a_body_without_one_may_be_null(self) -> None:
        required, schema = self.body(asks(answer, body=Optional))
        self.assertEqual((required, schema["type"]), (False, ["object", "null"]))
        self.assertNotIn("requestBody", self.described(asks(answer)))

    def test_a_job_has_the_fields_of_its_opcode_but_those_of_the_path(self) -> None:
        path = "/2/groups/{group_name}"
        _, schema = self.body(submits(ModifyGroup), path)
        self.assertIn("alloc_policy", schema["properties"])
        hidden = {"OP_ID", "reason", "group_name"}
        self.assertEqual(hidden & schema["properties"].keys(), set())

    def test_what_is_fixed_or_withheld_is_not_described(self) -> None:
        verb = submits(ModifyGroup, fixed={"group_name": "x"}, withheld=frozenset({"alloc_policy"}))
        _, schema = self.body(verb)
        self.assertEqual({"group_name", "alloc_policy"} & schema["properties"].keys(), set())

    def test_a_field_with_another_name_for_clients_is_required_under_it(self) -> None:
        required, schema = self.body(submits(RemoveGroup, renames={"name": "group_name"}))
        self.assertEqual((required, schema["required"]), (True, ["name"]))
        self.assertNotIn("group_name", schema["properties"])

    def test_what_the_query_or_a_default_sets_need_not_be_in_the_body(self) -> None:
        for verb in (
            submits(RemoveGroup, query=("group_name",)),
            submits(RemoveGroup, defaults={"group_name": "default"}),
        ):
            required, schema = self.body(verb)
            self.assertEqual((required, schema["required"]), (False, []))

    def test_the_description_of_a_field_is_not_changed_by_another_route(self) -> None:
        self.body(submits(RemoveGroup, renames={"name": "group_name"}))
        self.assertIn("group_name", self.schemas["RemoveGroup"]["properties"])

    def test_variables_of_the_path_are_texts_or_numbers_with_limits(self) -> None:
        path = "/2/jobs/{job_id}/parts/{name}"
        document = description([Route(path, {"GET": asks(answer)})])
        first, second = document["paths"][path]["parameters"]
        self.assertEqual((first["schema"]["type"], first["schema"]["minimum"]), ("integer", 0))
        self.assertEqual(second["schema"], {"type": "string", "minLength": 1})

    def test_each_kind_of_answer_has_its_media_type(self) -> None:
        self.assertEqual(media_type(asks(answer)), "application/json")
        self.assertEqual(media_type(streams()), "text/event-stream")
        self.assertEqual(media_type(MetricsVerb()), "text/plain")
