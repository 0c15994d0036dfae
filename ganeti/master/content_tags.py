# SPDX-License-Identifier: BSD-2-Clause
"""Tags that identify the content of a list, so that a client need not get again what it has."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import count

MAX_TAGGED = 32
"""Maximum number of lists whose tags are remembered."""


class ContentTags:
    """Gives each content of a list a tag, which it keeps as long as the content is the same.

    ``prefix`` returns what distinguishes these tags from those of other masters and other lists.
    """

    def __init__(self, prefix: Callable[[], str]) -> None:
        self._prefix = prefix
        self._numbers = count(1)
        self._known: dict[Hashable, tuple[bytes, str]] = {}

    def tag_of(self, key: Hashable, content: bytes) -> str:
        """Return the tag of the present content of the list with this key."""
        known = self._known.get(key)
        # Lists that have not changed are usually the same object.
        if known is not None and (known[0] is content or known[0] == content):
            return known[1]
        tag = f"{self._prefix()}.{next(self._numbers)}"
        self._known.pop(key, None)
        self._known[key] = content, tag
        if len(self._known) > MAX_TAGGED:
            del self._known[next(iter(self._known))]
        return tag
