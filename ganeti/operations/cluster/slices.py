# SPDX-License-Identifier: BSD-2-Clause
"""Checks of a large cluster in slices of time, so that they delay no other work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from ganeti.operations.operation import Tools

S = TypeVar("S")
T = TypeVar("T")

SLICE_SECONDS = 0.004
"""Seconds after which other work has a turn."""


async def collect(found: Iterable[T | None], tools: Tools) -> list[T]:
    """Return what is found, and pause at the points that None marks, if it is time."""
    kept: list[T] = []
    begun = tools.time.seconds()
    for each in found:
        if each is not None:
            kept.append(each)
        elif tools.time.seconds() - begun > SLICE_SECONDS:
            await tools.time.sleep(0)
            begun = tools.time.seconds()
    return kept


def each_of(items: Iterable[S], check: Callable[[S], Iterable[T | None]]) -> Iterator[T | None]:
    """Yield what ``check`` finds about each item, with a point to pause after each."""
    for item in items:
        yield from check(item)
        yield None
