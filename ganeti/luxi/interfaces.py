# SPDX-License-Identifier: BSD-2-Clause
"""The master as its asynchronous clients see it."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from zope.interface import Interface

from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import Request

R = TypeVar("R")


class IMaster(Interface):
    """Answers requests; several may be under way, and cancelling one gives it up.

    Both methods raise what the master answers (see ``ganeti.errors``), or why there is no answer:
    ``MasterAway``, ``NotPermitted``, ``ConnectionLost`` and ``TimedOut``, all of
    ``ganeti.luxi.unreachable``.
    """

    async def ask(request: Request[R], caller: Caller | None = None) -> R:
        """The answer; what the ``caller`` may not do is refused, or without one nothing is."""

    async def ask_raw(request: Request[R], caller: Caller | None = None) -> msgspec.Raw:
        """The answer, still encoded as JSON."""
