# SPDX-License-Identifier: BSD-2-Clause
"""Long lists are read page by page, all of one version."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.master.object_pages import MAX_VERSIONS, PAGE_SIZE, ObjectPages

LONG = [b'"%d%b"' % (number, b"x" * (PAGE_SIZE // 4)) for number in range(10)]


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pages = ObjectPages(lambda: "m1")

    def joined(self, tag: str, pages: int) -> bytes:
        texts = [self.pages.page(tag, number)[1:-1] for number in range(pages)]
        return b"[" + b",".join(texts) + b"]"

    def test_the_pages_together_are_the_list(self) -> None:
        version = self.pages.newest("list", LONG)
        self.assertEqual(version.pages, 4)
        whole = self.joined(version.tag, version.pages)
        self.assertEqual(whole, b"[" + b",".join(LONG) + b"]")
        self.assertEqual(version.size, len(whole))

    def test_a_list_without_objects_has_one_page(self) -> None:
        version = self.pages.newest("list", [])
        self.assertEqual((version.pages, version.size, version.page(0)), (1, 2, b"[]"))

    def test_an_object_that_is_larger_than_a_page_has_its_own(self) -> None:
        version = self.pages.newest("list", [b"1", b"2" * (2 * PAGE_SIZE), b"3"])
        self.assertEqual([version.page(n)[:3] for n in range(3)], [b"[1]", b"[22", b"[3]"])

    def test_an_equal_list_keeps_its_tag(self) -> None:
        first = self.pages.newest("list", LONG)
        self.assertIs(self.pages.newest("list", list(LONG)), first)
        self.assertNotEqual(self.pages.newest("list", LONG[1:]).tag, first.tag)

    def test_a_version_is_read_to_its_end_when_there_is_a_newer_one(self) -> None:
        first = self.pages.newest("list", LONG)
        self.pages.newest("list", LONG[1:])
        self.assertEqual(self.pages.page(first.tag, 3), first.page(3))

    def test_a_version_that_is_not_kept_any_more_is_refused(self) -> None:
        first = self.pages.newest("list", LONG)
        for number in range(MAX_VERSIONS):
            self.pages.newest("list", [b"%d" % number])
        with self.assertRaisesRegex(Refused, "query it again"):
            self.pages.page(first.tag, 1)

    def test_a_page_that_does_not_exist_is_refused(self) -> None:
        version = self.pages.newest("list", LONG)
        for number in (-1, 4):
            with self.assertRaisesRegex(Refused, "has 4 pages"):
                self.pages.page(version.tag, number)
