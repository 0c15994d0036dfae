# SPDX-License-Identifier: BSD-2-Clause
"""Every table has the fields, titles and kinds that clients of Ganeti 3.0 know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.query.fields import Compare, FieldType, Source, Table
from ganeti.views.registry import TABLES

GOLDEN = Path(__file__).parent.parent / "golden" / "data" / "query_fields.json"
FACTS: dict[str, Any] = json.loads(GOLDEN.read_text())

OURS = {("instance", "snapshots"): "Ganeti has no snapshots that stay"}
"""Fields that clients of Ganeti do not know, and why they are there."""


OUR_KINDS = {"image"}
"""Kinds of objects that clients of Ganeti do not know."""


class TableTests(SynchronousTestCase):
    maxDiff = None

    def test_every_kind_of_object_has_a_table(self) -> None:
        self.assertEqual(sorted(TABLES.keys() - OUR_KINDS), sorted(FACTS))
        self.assertEqual(sum(len(TABLES[kind].fields) for kind in FACTS), 441 + len(OURS))

    def test_fields_are_those_that_clients_know(self) -> None:
        for kind, facts in FACTS.items():
            fields = TABLES[kind].fields.values()
            known = [each for each in fields if (kind, each.name) not in OURS]
            self.assertEqual(
                sorted([field.name, field.title, field.kind.value] for field in known),
                sorted(fact[:3] for fact in facts["fields"]),
            )

    def test_keys_and_comparisons_are_those_that_clients_know(self) -> None:
        for kind, facts in FACTS.items():
            table = TABLES[kind]
            self.assertEqual(table.key, facts["key"])
            known = {fact[0]: Compare(fact[4]) for fact in facts["fields"] if len(fact) > 4}
            found = {f.name: f.compare for f in table.fields.values() if f.compare.value != "plain"}
            self.assertEqual(found, known, kind)

    def test_only_what_needs_live_data_asks_for_it(self) -> None:
        for kind, facts in FACTS.items():
            for name, _, _, needs, *_ in facts["fields"]:
                if needs.startswith("config"):
                    self.assertEqual(source(TABLES[kind], name), Source.CONFIG, f"{kind} {name}")
                if needs == "live":
                    self.assertNotEqual(source(TABLES[kind], name), Source.CONFIG, f"{kind} {name}")

    def test_every_field_says_what_it_means(self) -> None:
        for table in TABLES.values():
            for field in table.fields.values():
                self.assertTrue(field.doc.endswith("."), field.name)
                self.assertIsNot(field.kind, FieldType.UNKNOWN)


def source(table: Table[Any], name: str) -> Source:
    return table.fields[name].source
