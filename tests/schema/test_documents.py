# SPDX-License-Identifier: BSD-2-Clause
"""How deep a document nests is known before anything looks into it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep

documents = st.recursive(
    st.none() | st.text('["\\]{}a'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\{'), inner),
)


def nested(depth: int, inside: bytes = b"") -> bytes:
    return b"[" * depth + inside + b"]" * depth


class DepthTests(SynchronousTestCase):
    def test_the_limit_itself_is_not_too_deep(self) -> None:
        self.assertFalse(nests_too_deep(nested(MAX_DEPTH)))
        self.assertTrue(nests_too_deep(nested(MAX_DEPTH + 1)))
        self.assertTrue(nests_too_deep(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * MAX_DEPTH))

    def test_many_lists_beside_each_other_are_not_deep(self) -> None:
        self.assertFalse(nests_too_deep(b"[" + b",".join([b"[]"] * 1000) + b"]"))

    def test_brackets_in_text_do_not_count(self) -> None:
        for text in ("[" * 200, '"' + "[" * 200, "\\" + "[" * 200, '\\"' * 3 + "[" * 200):
            self.assertFalse(nests_too_deep(msgspec.json.encode([text])), text[:6])

    @given(documents)
    def test_text_of_any_kind_hides_no_depth_and_adds_none(self, inner: Any) -> None:
        inside = msgspec.json.encode(inner)
        self.assertTrue(nests_too_deep(nested(MAX_DEPTH + 1, inside)))
        self.assertEqual(nests_too_deep(nested(MAX_DEPTH - 50, inside)), depth_of(inner) > 50)

    def test_what_a_decoder_raises_is_known(self) -> None:
        for raw in (b"nonsense", b'"\xff"', nested(100_000)):
            self.assertRaises(UNREADABLE, msgspec.json.decode, raw)


def depth_of(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0)
