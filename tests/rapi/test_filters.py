# SPDX-License-Identifier: BSD-2-Clause
"""Job filters over the remote API."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Invalid, Problem, Refused, RemoteError
from ganeti.luxi.methods import DeleteFilter, QueryFilters, QueryObjects, ReplaceFilter
from ganeti.rapi.routes.cluster import FILTER_FIELDS
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import WHEN, Answer, NodeClient, basic

UUID = "6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa"
ROW = [7, 3, [["jobid", ["=", "id", 5]]], "PAUSE", [["gnt:user", "why", 1]], UUID]
RULE = dict(zip(FILTER_FIELDS, ROW, strict=True))
ONE = f"/2/filters/{UUID}"


def by(resource: str) -> list[Any]:
    return [f"gnt:library:rlib2:{resource}", "", WHEN]


class FilterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster(
            {
                QueryFilters: lambda asked: (
                    [[UUID]] if asked.fields == ("uuid",) and asked.uuids is None else [ROW]
                ),
                QueryObjects: [RULE],
                ReplaceFilter: UUID,
                DeleteFilter: lambda _: None,
            }
        )
        self.asker = NodeClient(self.master, self.mktemp())

    def ask(self, *request: Any, **more: Any) -> Answer:
        return self.asker.ask(*request, **more)

    def asked(self) -> Any:
        """What the master was asked last."""
        return self.master.asked[-1]

    def test_rules_are_listed_by_name_or_whole(self) -> None:
        listed = self.ask("GET", "/2/filters", headers="").value
        self.assertEqual(listed, [{"uuid": UUID, "uri": ONE}])
        self.assertEqual(self.ask("GET", "/2/filters?bulk=1", headers="").value, [RULE])
        self.assertEqual(self.asked(), QueryObjects(what="filter", fields=FILTER_FIELDS, known=()))

    def test_one_rule_is_shown(self) -> None:
        self.assertEqual(self.ask("GET", ONE, headers="").value, RULE)

    def test_a_rule_is_added(self) -> None:
        body = {"priority": 3, "predicates": ROW[2], "action": ["RATE_LIMIT", 2], "reason": ROW[4]}
        self.assertEqual(self.ask("POST", "/2/filters?reason=because", body).value, UUID)
        self.assertEqual(
            self.asked(),
            ReplaceFilter(
                uuid=None,
                priority=3,
                predicates=ROW[2],
                action=["RATE_LIMIT", 2],
                reason=[["gnt:user", "why", 1], ["gnt:user", "because", WHEN], by("filters")],
            ),
        )

    def test_what_is_left_out_or_null_is_the_default(self) -> None:
        nulls = dict.fromkeys(("priority", "predicates", "action", "reason"))
        for body in (None, {}, nulls):
            self.assertEqual(self.ask("PUT", ONE, body).status, 200)
            self.assertEqual(
                self.asked(),
                ReplaceFilter(
                    uuid=UUID,
                    priority=0,
                    predicates=(),
                    action="CONTINUE",
                    reason=[by("filters_uuid")],
                ),
            )

    def test_the_master_reads_the_rule_and_tells_everything_that_is_wrong(self) -> None:
        problems = [Problem("priority", "must be a whole number"), Problem("action", "must be")]
        self.master.canned[ReplaceFilter] = Invalid(problems)
        body = {"priority": "soon", "predicates": 5, "action": {}, "reason": "because"}
        answer = self.ask("POST", "/2/filters", body)
        self.assertEqual((answer.status, answer.message), (400, str(Invalid(problems))))
        request = self.asked()
        told = (request.priority, request.predicates, request.action, request.reason)
        self.assertEqual(told, tuple(body.values()))

    def test_other_keys_are_refused(self) -> None:
        answer = self.ask("POST", "/2/filters", {"colour": "red"})
        self.assertEqual((answer.status, answer.message), (400, "colour: unknown parameter"))

    def test_a_rule_is_removed(self) -> None:
        answer = self.ask("DELETE", ONE)
        self.assertEqual((answer.status, answer.value), (200, None))
        self.assertEqual(self.asked(), DeleteFilter(uuid=UUID))

    def test_a_rule_that_there_is_not_is_not_found(self) -> None:
        self.master.canned[QueryFilters] = Refused("job filter x does not exist", Code.UNKNOWN)
        self.assertEqual(self.ask("GET", "/2/filters/x").status, 404)
        self.master.canned[QueryFilters] = [[UUID]]
        text = "job filter x does not exist"
        self.master.canned[DeleteFilter] = RemoteError("GenericError", [text])
        answer = self.ask("DELETE", "/2/filters/x")
        self.assertEqual((answer.status, answer.message), (404, text))

    def test_changes_need_the_right_to_write(self) -> None:
        rita = basic("rita", "xyz789")
        for method, path in (("POST", "/2/filters"), ("PUT", ONE), ("DELETE", ONE)):
            self.assertEqual(self.ask(method, path, headers=rita).status, 403)
            self.assertEqual(self.ask(method, path, headers="").status, 401)
        self.assertEqual(self.master.asked, [])
