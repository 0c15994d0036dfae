# SPDX-License-Identifier: BSD-2-Clause
"""The interface of the master for asynchronous clients."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from zope.interface import Interface

from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import Request

R = TypeVar("R")


class IMaster(Interface):
    """Answers requests, several at a time; cancelling a call cancels its request.

    Both methods raise the error that the master answers with (see ``ganeti.errors``), or without an
    answer ``MasterNotRunning``, ``NotPermitted``, ``ConnectionLost`` or ``TimedOut`` of
    ``ganeti.luxi.unreachable``.
    """

    async def ask(request: Request[R], caller: Caller | None = None) -> R:
        """The answer; what the ``caller`` may not do is refused, or without one nothing is."""

    async def ask_raw(request: Request[R], caller: Caller | None = None) -> msgspec.Raw:
        """The answer, still encoded as JSON."""
