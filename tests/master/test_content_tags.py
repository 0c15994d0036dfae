# SPDX-License-Identifier: BSD-2-Clause
"""Tags that are the same as long as a list has the same content."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.master.content_tags import MAX_TAGGED, ContentTags


class TagTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tags = ContentTags(lambda: "7.1")

    def test_the_same_content_keeps_its_tag(self) -> None:
        first = self.tags.tag_of("a", b"content")
        self.assertEqual(self.tags.tag_of("a", bytes(bytearray(b"content"))), first)

    def test_other_content_and_other_lists_have_other_tags(self) -> None:
        found = [
            self.tags.tag_of(key, text) for key, text in (("a", b"1"), ("a", b"2"), ("b", b"2"))
        ]
        self.assertEqual(len(set(found)), 3)

    def test_a_content_that_comes_back_gets_a_new_tag(self) -> None:
        first = self.tags.tag_of("a", b"1")
        self.tags.tag_of("a", b"2")
        self.assertNotEqual(self.tags.tag_of("a", b"1"), first)

    def test_of_many_lists_the_latest_are_remembered(self) -> None:
        first = self.tags.tag_of("first", b"1")
        for number in range(MAX_TAGGED):
            self.tags.tag_of(number, b"1")
        self.assertNotEqual(self.tags.tag_of("first", b"1"), first)
