# SPDX-License-Identifier: BSD-2-Clause
"""A gate that lets every caller do everything, for what is tested behind it."""

from __future__ import annotations

from collections.abc import Awaitable

from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import Request
from ganeti.luxi.server import Permitted


class OpenGate:
    """Permits everything; see ``ganeti.luxi.server.Gate``."""

    def permit(self, caller: Caller, request: Request[object]) -> Permitted:
        return Permitted(request)

    async def end_if_refused(
        self, caller: Caller, request: Request[object], work: Awaitable[object]
    ) -> object:
        return await work
