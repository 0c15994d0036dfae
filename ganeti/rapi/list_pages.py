# SPDX-License-Identifier: BSD-2-Clause
"""Long lists of the master, of which a process of the remote API has only some pages in memory."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

import msgspec
from twisted.internet.defer import CancelledError, Deferred


class ListPages:
    """The pages of a list as pieces of its JSON text; the next one is fetched ahead of time.

    ``fetch`` returns the objects of a page as a JSON list. The text has ``size`` bytes.
    """

    def __init__(
        self,
        first: msgspec.Raw,
        pages: int,
        size: int,
        fetch: Callable[[int], Coroutine[Deferred[object], object, msgspec.Raw]],
    ) -> None:
        self.size = size
        self._first = first
        self._pages = pages
        self._fetch = fetch
        self._number = 0
        self._ahead: Deferred[msgspec.Raw] | None = None

    async def next(self) -> bytes | None:
        """Return the next piece; None after the last one.

        :raises GanetiError: the master does not answer, or has not kept the list.
        """
        number = self._number
        if number == self._pages:
            return None
        page = self._first if self._ahead is None else await self._ahead
        self._number += 1
        last = self._number == self._pages
        if not last:
            self._ahead = Deferred.fromCoroutine(self._fetch(self._number))
        objects = memoryview(page)[1:-1]
        return b"".join((b"," if number else b"[", objects, b"]" if last else b""))

    def stop(self) -> None:
        """Fetch nothing more."""
        if self._ahead is not None:
            # Nothing waits for the page that was fetched ahead.
            self._ahead.addErrback(lambda failure: failure.trap(CancelledError) and None)
            self._ahead.cancel()
