# SPDX-License-Identifier: BSD-2-Clause
"""Timers that do not notice when somebody sets the clock of the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def keep_steady(reactor: Any, now: Callable[[], float], passed: Callable[[], float]) -> None:
    """Make the timers of ``reactor`` go by ``passed``, which only ever grows.

    By themselves they go by the time of day: were it set back by an hour, nothing would happen for
    an hour; were it set forward, everything awaited would be overdue at once, and every node out
    of reach. The reactor's time begins as ``now``, so that both are the same while nobody meddles.
    """
    ahead = now() - passed()
    reactor.seconds = lambda: passed() + ahead
