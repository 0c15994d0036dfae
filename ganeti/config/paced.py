# SPDX-License-Identifier: BSD-2-Clause
"""Long computations with points at which other work can have its turn.

A generator of results yields None at such a point; who collects the results decides whether to
pause there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

EVERY = 100
"""Number of items, each a few microseconds of work, between two points."""


def paced(items: Iterable[T], every: int = EVERY) -> Iterator[T | None]:
    """Yield the items, and None in between from time to time."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % every == 0:
            yield None
