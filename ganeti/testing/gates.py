# SPDX-License-Identifier: BSD-2-Clause
"""A gate that lets every caller do everything, for what is tested behind it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import Request
from ganeti.luxi.server import Permitted


class OpenGate:
    """Permits everything; see ``ganeti.luxi.server.Gate``."""

    def permit(self, caller: Caller, request: Request[Any]) -> Permitted:
        return Permitted(request)

    async def guard(self, caller: Caller, request: Request[Any], work: Awaitable[Any]) -> Any:
        return await work
