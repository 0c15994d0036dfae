# SPDX-License-Identifier: BSD-2-Clause
"""Warnings that many clients can cause, written at most once a minute for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

INTERVAL = 60.0
"""Seconds between two warnings of one kind."""


class RateLimitedLog:
    """Write one warning of a kind per interval, and count the others; the next says how many."""

    def __init__(self, clock: IReactorTime, warn: Callable[..., None]) -> None:
        self._clock = clock
        self._warn = warn
        self._written: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def __call__(self, text: str, **values: Any) -> None:
        """Warn of ``text``, a format with ``values``; the same text is the same kind."""
        now = self._clock.seconds()
        if text in self._written and now < self._written[text] + INTERVAL:
            self._suppressed[text] = self._suppressed.get(text, 0) + 1
            return
        self._written[text] = now
        if suppressed := self._suppressed.pop(text, 0):
            text += "; {suppressed} more since the last such message"
            values["suppressed"] = suppressed
        self._warn(text, **values)
