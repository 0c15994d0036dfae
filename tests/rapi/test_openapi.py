# SPDX-License-Identifier: BSD-2-Clause
"""The description of the API says what the routes do."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.rapi.routes.table import ROUTES
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import Asker


class OpenApiTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.document = Asker(MemoryMaster(), self.mktemp()).ask("GET", "/2/openapi").value

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

    def test_a_creation_is_described_in_the_words_of_the_document(self) -> None:
        operation = self.document["paths"]["/2/instances"]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        self.assertEqual(schema["required"], ["__version__", "disks", "mode", "name", "nics"])
        self.assertNotIn("instance_name", schema["properties"])
        self.assertFalse(schema["additionalProperties"])
        self.assertTrue(operation["requestBody"]["required"])
        names = [each["name"] for each in operation["parameters"]]
        self.assertEqual(names, ["dry-run", "reason"])

    def test_locks_cannot_be_asked_for(self) -> None:
        parameters = self.document["paths"]["/2/tags"]["get"]["parameters"]
        [lock] = [each for each in parameters if each["name"] == "lock"]
        self.assertEqual(lock["schema"]["enum"], [0])

    def test_a_body_that_need_not_be_there_may_be_null(self) -> None:
        body = self.document["paths"]["/2/redistribute-config"]["put"]["requestBody"]
        self.assertFalse(body["required"])
        self.assertEqual(body["content"]["application/json"]["schema"]["type"], ["object", "null"])
