# SPDX-License-Identifier: BSD-2-Clause
"""Warnings that many clients can cause, logged at most once per minute for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

INTERVAL = 60.0
"""Minimum time between two warnings of one kind, in seconds."""


class RateLimitedLog:
    """Logs one warning of each kind per interval; the next one has the number of suppressed
    ones."""

    def __init__(self, clock: IReactorTime, warn: Callable[..., None]) -> None:
        self._clock = clock
        self._warn = warn
        self._written: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def __call__(self, text: str, **values: Any) -> None:
        """Log ``text``, a format of ``values``; the same text is the same kind."""
        now = self._clock.seconds()
        if text in self._written and now < self._written[text] + INTERVAL:
            self._suppressed[text] = self._suppressed.get(text, 0) + 1
            return
        self._written[text] = now
        if suppressed := self._suppressed.pop(text, 0):
            text += "; {suppressed} more since the last such message"
            values["suppressed"] = suppressed
        self._warn(text, **values)
