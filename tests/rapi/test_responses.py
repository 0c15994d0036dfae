# SPDX-License-Identifier: BSD-2-Clause
"""The description says what each method answers, and with which errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import QueryJobs
from ganeti.opcodes.group import RemoveGroup
from ganeti.rapi import responses
from ganeti.rapi.api_metrics import MetricsVerb
from ganeti.rapi.routes.route import Route
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.verbs import Verb, asks, lists, opens_console, shows, streams, submits

ALWAYS = {"400", "401", "403", "408", "413", "414", "415", "429", "431", "5XX"}


async def answer(call: object, values: object, body: object) -> object:
    """Return something."""
    return None


def all_jobs(fields: tuple[str, ...]) -> Any:
    return QueryJobs(ids=None, fields=fields)


LISTS = lists("job", "jobs", ("id", "status"), all_jobs, keys=("id",), key="id")


class ErrorTests(SynchronousTestCase):
    def statuses(self, verb: Verb, path: str = "/2/x") -> set[str]:
        return set(responses.errors(Route(path, {"GET": verb}), verb))

    def test_some_may_come_of_every_request(self) -> None:
        self.assertEqual(self.statuses(asks(answer)), ALWAYS)

    def test_an_object_in_the_path_may_not_exist(self) -> None:
        self.assertEqual(self.statuses(asks(answer), "/2/x/{name}") - ALWAYS, {"404"})

    def test_a_job_may_be_refused_when_it_is_planned(self) -> None:
        self.assertEqual(self.statuses(submits(RemoveGroup)) - ALWAYS, {"404", "409", "422"})

    def test_a_console_needs_a_websocket(self) -> None:
        self.assertEqual(self.statuses(opens_console()) - ALWAYS, {"409", "426"})

    def test_a_list_that_the_client_has_is_not_sent_again(self) -> None:
        self.assertEqual(self.statuses(LISTS) - ALWAYS, {"304"})

    def test_errors_of_a_method_itself_have_its_reasons(self) -> None:
        why = {HTTPStatus.CONFLICT: "There is no Prometheus.", HTTPStatus.SEE_OTHER: "Go on."}
        verb = asks(answer, errors=why)
        found = responses.errors(Route("/2/x", {"GET": verb}), verb)
        self.assertEqual(found["409"]["description"], "There is no Prometheus.")
        self.assertEqual(found["303"]["description"], "Go on.")

    def test_the_others_are_explained_in_one_place(self) -> None:
        found = responses.errors(Route("/2/x", {}), asks(answer))
        for status, described in found.items():
            self.assertEqual(described, {"$ref": f"#/components/responses/{status}"})
            self.assertIn(status, responses.ERRORS)


class ResultTests(SynchronousTestCase):
    def test_a_job_has_a_number_and_a_plan_steps(self) -> None:
        number, plan = responses.result(submits(RemoveGroup), {})["anyOf"]
        self.assertEqual((number["type"], number["minimum"]), ("integer", 1))
        self.assertIn("steps", plan["required"])
        self.assertIn("irreversible", plan["required"])

    def test_a_list_has_names_or_details(self) -> None:
        brief, details = responses.result(LISTS, {})["items"]["anyOf"]
        self.assertEqual(brief["properties"]["id"], {"type": "integer"})
        self.assertEqual(brief["required"], ["id", "uri"])
        self.assertEqual(details["required"], ["id", "status"])

    def test_names_of_other_objects_are_texts(self) -> None:
        verb = lists("node", "nodes", ("name",), all_jobs, keys=("id", "name"))
        brief, _ = responses.result(verb, {})["items"]["anyOf"]
        self.assertEqual(brief["properties"]["name"], {"type": "string"})
        self.assertEqual(brief["required"], ["id", "name", "uri"])

    def test_an_object_has_exactly_its_fields(self) -> None:
        found = responses.result(shows("node", "node_name", ("name", "pip")), {})
        self.assertEqual(found["required"], ["name", "pip"])
        self.assertIs(found["additionalProperties"], False)

    def test_an_answer_of_a_declared_type_has_its_schema(self) -> None:
        schema = {"type": "array"}
        self.assertIs(responses.result(asks(answer, result=list[int]), {list[int]: schema}), schema)

    def test_what_is_no_json_is_a_text(self) -> None:
        for verb in (streams(), opens_console(), MetricsVerb()):
            found = responses.result(verb, {})
            self.assertEqual(found["type"], "string")
            self.assertTrue(found["description"])


class RouteTests(SynchronousTestCase):
    def test_no_error_of_a_route_contradicts_the_common_ones(self) -> None:
        for route in ROUTES:
            for verb in route.verbs.values():
                if isinstance(verb, asks):
                    own = {str(int(status)) for status in verb.errors}
                    self.assertEqual(own & (ALWAYS - {"403"}), set(), route.path)
