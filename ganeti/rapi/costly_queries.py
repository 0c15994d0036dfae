# SPDX-License-Identifier: BSD-2-Clause
"""Queries that may take the master long have few of the connections to it, so that others do not
wait for them.

There are only so many connections to the master, and an answer holds one until it is there. A
query with a filter, or for whatever fields a client names, can take seconds.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import DeferredSemaphore
from zope.interface import implementer

from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Query, Request

R = TypeVar("R")

MAX_QUERIES = 4
"""How many such queries are under way at once, and as many that nodes are asked for; others wait
in line."""

OF_NODES = frozenset(("export", "extstorage", "os"))
"""Kinds of objects that all nodes are asked for, which can take as long as a node is silent."""


@implementer(IMaster)
class QueryLimit:
    """Passes requests on to a master, costly queries only so many at once."""

    def __init__(self, master: IMaster, *, max_queries: int = MAX_QUERIES) -> None:
        self._master = master
        self._rows = DeferredSemaphore(max_queries)
        self._nodes = DeferredSemaphore(max_queries)

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        answer: R = msgspec.json.decode(await self.ask_raw(request, caller))
        return answer

    async def ask_raw(self, request: Request[Any], caller: Caller | None = None) -> msgspec.Raw:
        if not isinstance(request, Query):
            return await self._master.ask_raw(request, caller)
        turns = self._nodes if request.what in OF_NODES else self._rows
        await turns.acquire()
        try:
            return await self._master.ask_raw(request, caller)
        finally:
            turns.release()
