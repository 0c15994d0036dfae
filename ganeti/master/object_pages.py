# SPDX-License-Identifier: BSD-2-Clause
"""Long lists, of which clients get one page after the other.

All pages that a client gets are of the same version of a list, which its tag names. A version is a
list of the JSON texts of its objects; those of unchanged objects are shared by all versions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import count

from ganeti.errors import Code, Refused

PAGE_SIZE = 256 << 10
"""Bytes of JSON in a page, unless a single object is larger."""

MAX_VERSIONS = 16
"""Maximum number of versions, of all lists, that are kept for clients that read them."""


@dataclass(frozen=True)
class ListVersion:
    """A version of a list; ``bounds`` are the indexes of the first objects of pages, and the end.

    ``size`` is the number of bytes of the whole list as JSON.
    """

    tag: str
    texts: Sequence[bytes]
    bounds: Sequence[int]
    size: int

    @property
    def pages(self) -> int:
        """The number of pages; a list without objects has one."""
        return len(self.bounds) - 1

    def page(self, number: int) -> bytes:
        """Return the objects of a page as a JSON list."""
        first, end = self.bounds[number : number + 2]
        return b"[" + b",".join(self.texts[first:end]) + b"]"


class ObjectPages:
    """The last versions of lists. ``prefix`` distinguishes their tags from those of others."""

    def __init__(self, prefix: Callable[[], str]) -> None:
        self._prefix = prefix
        self._numbers = count(1)
        self._versions: dict[str, ListVersion] = {}
        self._newest: dict[Hashable, ListVersion] = {}

    def newest(self, key: Hashable, texts: Sequence[bytes]) -> ListVersion:
        """Return the version of the list ``key`` with these texts, a new one if they have changed.

        ``texts`` must not change afterwards.
        """
        known = self._newest.get(key)
        # Texts of unchanged objects are usually the same objects.
        if known is not None and (known.texts is texts or known.texts == texts):
            return known
        tag = f"{self._prefix()}.p{next(self._numbers)}"
        bounds, size = _paginate(texts)
        version = self._newest[key] = self._versions[tag] = ListVersion(tag, texts, bounds, size)
        if len(self._versions) > MAX_VERSIONS:
            del self._versions[next(iter(self._versions))]
        if len(self._newest) > MAX_VERSIONS:
            del self._newest[next(iter(self._newest))]
        return version

    def page(self, tag: str, number: int) -> bytes:
        """Return a page of a version.

        :raises Refused: the version is not kept any more, or has no such page.
        """
        version = self._versions.get(tag)
        if version is None:
            raise Refused(
                "the list has changed too often since its first page; query it again",
                Code.TEMPORARY,
            )
        if not 0 <= number < version.pages:
            raise Refused(f"the list has {version.pages} pages, counted from 0", Code.INPUT)
        return version.page(number)


def _paginate(texts: Sequence[bytes]) -> tuple[Sequence[int], int]:
    """Return the bounds of pages, and the size of the whole list."""
    bounds, size, page = [0], 2 + max(0, len(texts) - 1), 0
    for index, text in enumerate(texts):
        if page and page + len(text) > PAGE_SIZE:
            bounds.append(index)
            page = 0
        page += len(text)
        size += len(text)
    bounds.append(len(texts))
    return bounds, size
