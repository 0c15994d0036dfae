# SPDX-License-Identifier: BSD-2-Clause
"""The list of differences to Debian's Ganeti is what the reasons say; and how they are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.system.likeness import NOTHING_THERE, Difference, compare, named
from tests.system.peer_answers import judge, report
from tests.system.peer_reasons import REASONS, Reason, matches, page
from tests.system.peer_requests import document, held, portable, refusals
from tests.system.rapi_document import METHODS, resource_of

PAGE = Path(__file__).parent.parent.parent / "doc" / "differences.md"


class PageTests(SynchronousTestCase):
    def test_the_page_is_made_of_the_reasons(self) -> None:
        """If not: python -m tests.system.peer_reasons > doc/differences.md"""
        self.assertEqual(PAGE.read_text(encoding="utf-8"), page())

    def test_every_reason_is_a_sentence_and_stands_once(self) -> None:
        for reason in REASONS:
            self.assertRegex(reason.why, r"^[A-Z`/].*\.$")
        self.assertEqual(len(set(REASONS)), len(REASONS))


class RequestTests(SynchronousTestCase):
    def test_each_method_of_the_document_is_asked(self) -> None:
        good = {(each.method, resource(each.path)) for each in (*document(), *held())}
        bad = {(each.method, resource(each.path)) for each in refusals()}
        needs_lvm = {
            ("PUT", f"/2/nodes/[node_name]/storage/{what}") for what in ("modify", "repair")
        }
        self.assertEqual(set(METHODS) - good, needs_lvm)
        self.assertEqual(set(METHODS) - bad, set())

    def test_bodies_are_such_that_both_can_do_it(self) -> None:
        body = portable({"os": "mini", "disk_template": "drbd", "pnode": "a", "snode": "b"})
        self.assertEqual(body, {"os": "noop", "disk_template": "sharedfile", "pnode": "a"})


def resource(path: str) -> str:
    """The resource of the document that a path is one of, or nothing."""
    try:
        return resource_of(path)
    except ValueError:
        return ""


class LikenessTests(SynchronousTestCase):
    def found(self, theirs: Any, ours: Any) -> list[tuple[str, str, str]]:
        return list(compare(theirs, ours))

    def test_what_is_the_same_differs_in_nothing(self) -> None:
        self.assertEqual(self.found({"a": [1, {"b": None}]}, {"a": [{"b": None}, 1]}), [])

    def test_fields_that_only_one_side_has(self) -> None:
        found = self.found([{"a": 1, "b": {"c": 2}}], [{"a": 1, "d": "x"}])
        self.assertEqual(
            found, [("field [].b", "{}", NOTHING_THERE), ("field [].d", NOTHING_THERE, "x")]
        )

    def test_types_and_values(self) -> None:
        self.assertEqual(self.found({"a": 1}, {"a": "1"}), [("type of a", "integer", "text")])
        self.assertEqual(self.found({"a": 1}, {"a": 2}), [("value of a", "1", "2")])
        self.assertEqual(self.found(None, [1]), [("type of the answer", "null", "list")])

    def test_of_times_and_identifiers_types_are_compared(self) -> None:
        self.assertEqual(self.found({"ctime": 1, "uuid": "a"}, {"ctime": 1.5, "uuid": "b"}), [])
        self.assertEqual(
            self.found({"uuid": "a"}, {"uuid": 1}), [("type of uuid", "text", "number")]
        )

    def test_an_empty_list_is_not_one_with_something_in_it(self) -> None:
        self.assertEqual(self.found({"a": []}, {"a": [1]}), [("field a[]", NOTHING_THERE, "1")])

    def test_names_of_a_clusters_own(self) -> None:
        names = {"node1.trial": "{node1}", "trial": "{cluster}"}
        self.assertEqual(named(["node1.trial:x", "trial"], names), ["{node1}:x", "{cluster}"])
        self.assertEqual(named("first.trial", names), "first.trial")


class JudgeTests(SynchronousTestCase):
    def test_the_first_reason_that_fits_explains(self) -> None:
        narrow = Reason("GET /2/*", "status", "501", "405", "One.")
        wide = Reason("*", "status", "5*", "*", "Two.")
        never = Reason("PUT *", "*", "*", "*", "Three.")
        found = [
            Difference("GET /2/x", "status", "501", "405"),
            Difference("GET /", "job", "a", "b"),
        ]
        verdict = judge(found, (narrow, wide, never))
        self.assertEqual(verdict.explained[narrow], found[:1])
        self.assertEqual(verdict.unexplained, found[1:])
        self.assertEqual(verdict.unneeded, [wide, never])
        told = report(verdict)
        self.assertIn("| `GET /` | job | a | b |", told)
        self.assertIn("Three.", told)

    def test_patterns(self) -> None:
        self.assertTrue(matches("GET /2/* | PUT /2/*", "PUT /2/tags?tag=[x]"))
        self.assertFalse(matches("GET /2/*", "GET /version"))
        self.assertFalse(matches("a.c", "abc"))
