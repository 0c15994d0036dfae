# SPDX-License-Identifier: BSD-2-Clause
"""Work that goes on when whoever waits for it does not want to wait any more."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def shielded(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Start ``work``; cancelling what this returns ends the waiting, not the work.

    A commit that is under way cannot be called back: it becomes true whether its author still
    listens or not.
    """
    waiting: Deferred[T] = Deferred()
    # A Deferred that was cancelled takes one more result and drops it.
    Deferred.fromCoroutine(work).addBoth(waiting.callback)
    return waiting
