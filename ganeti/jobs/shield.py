# SPDX-License-Identifier: BSD-2-Clause
"""Protection of running work from the cancellation of its waiters."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def shield_from_cancellation(work: Coroutine[Deferred[object], object, T]) -> Deferred[T]:
    """Start ``work``; cancelling the returned Deferred stops the wait, not the work.

    A commit in progress cannot be revoked: it may become durable whether or not its author still
    waits.
    """
    waiting: Deferred[T] = Deferred()
    # A cancelled Deferred swallows one later result, so that this callback does not raise.
    Deferred.fromCoroutine(work).addBoth(waiting.callback)
    return waiting
