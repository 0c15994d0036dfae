# SPDX-License-Identifier: BSD-2-Clause
"""Warnings about clients, which a crowd of them must not make a flood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

PAUSE = 60.0
"""Seconds between two warnings of a kind."""


class Complaints:
    """Gives one warning of a kind a minute, and counts the others; the next says how many."""

    def __init__(self, clock: IReactorTime, warn: Callable[..., None]) -> None:
        self._clock = clock
        self._warn = warn
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def __call__(self, text: str, **values: Any) -> None:
        """Warn of ``text``, a format with ``values``; the same text is the same kind."""
        now = self._clock.seconds()
        if text in self._told and now < self._told[text] + PAUSE:
            self._untold[text] = self._untold.get(text, 0) + 1
            return
        self._told[text] = now
        if untold := self._untold.pop(text, 0):
            text += "; {untold} times before, since it was told last"
            values["untold"] = untold
        self._warn(text, **values)
