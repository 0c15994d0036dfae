# SPDX-License-Identifier: BSD-2-Clause
"""Records as clients see them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.schema.records import Record, list_all_fields


class _Part(Record, omit_defaults=True):
    name: str
    size: int = 0


class _Whole(Record, omit_defaults=True):
    parts: tuple[_Part, ...] = ()
    note: str | None = None


class ListAllFieldsTests(SynchronousTestCase):
    def test_clients_see_all_fields_also_those_of_parts(self) -> None:
        seen = list_all_fields(_Whole(parts=(_Part(name="a"),)))
        self.assertEqual(seen, {"parts": [{"name": "a", "size": 0}], "note": None})
