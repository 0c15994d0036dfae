# SPDX-License-Identifier: BSD-2-Clause
"""A long list is one JSON text whose pages are fetched one ahead of what is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.rapi.list_pages import ListPages


def encoded(objects: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(objects))


class PageTests(SynchronousTestCase):
    """``pages`` answers for the requests in ``asked``, which are told to the test."""

    def pages(self, first: object, count: int) -> ListPages:
        self.asked: list[int] = []
        self.answers: list[Deferred[msgspec.Raw]] = []
        self.canceled: list[object] = []
        return ListPages(encoded(first), count, 100, self.fetch)

    async def fetch(self, page: int) -> msgspec.Raw:
        self.asked.append(page)
        answer: Deferred[msgspec.Raw] = Deferred(self.canceled.append)
        self.answers.append(answer)
        return await answer

    def next(self, pages: ListPages) -> bytes | None:
        piece: bytes | None = self.successResultOf(pages.next())
        return piece

    def test_a_single_page_is_the_whole_text(self) -> None:
        pages = self.pages([1, 2], 1)
        self.assertEqual((self.next(pages), self.next(pages)), (b"[1,2]", None))
        self.assertEqual(self.asked, [])

    def test_the_next_page_is_fetched_while_one_is_read(self) -> None:
        pages = self.pages([1], 3)
        self.assertEqual(self.next(pages), b"[1")
        self.assertEqual(self.asked, [1])
        waiting = Deferred.fromCoroutine(pages.next())
        self.assertNoResult(waiting)
        self.answers[0].callback(encoded([2, 3]))
        self.assertEqual(self.successResultOf(waiting), b",2,3")
        self.assertEqual(self.asked, [1, 2])

    def test_the_last_page_ends_the_text_and_fetches_nothing(self) -> None:
        pages = self.pages([1], 2)
        self.next(pages)
        self.answers[0].callback(encoded([2]))
        self.assertEqual((self.next(pages), self.next(pages)), (b",2]", None))
        self.assertEqual(self.asked, [1])

    def test_a_master_that_is_away_ends_the_list_with_its_error(self) -> None:
        pages = self.pages([1], 2)
        self.next(pages)
        self.answers[0].errback(MasterNotRunning("the master daemon is not running"))
        self.failureResultOf(pages.next(), MasterNotRunning)

    def test_a_client_that_hangs_up_cancels_what_is_fetched(self) -> None:
        pages = self.pages([1], 2)
        self.next(pages)
        pages.stop()
        self.assertEqual(self.canceled, self.answers)

    def test_where_nothing_is_fetched_nothing_is_canceled(self) -> None:
        pages = self.pages([1], 2)
        pages.stop()
        self.assertEqual(self.asked, [])

    @given(some.lists(some.lists(some.integers(), min_size=1), min_size=1, max_size=5))
    def test_the_pieces_are_the_list(self, lists: Sequence[Any]) -> None:
        async def fetch(page: int) -> msgspec.Raw:
            return encoded(lists[page])

        pages = ListPages(encoded(lists[0]), len(lists), 0, fetch)
        text = b""
        while (piece := self.successResultOf(pages.next())) is not None:
            text += piece
        self.assertEqual(json.loads(text), [each for page in lists for each in page])
