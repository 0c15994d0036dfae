# SPDX-License-Identifier: BSD-2-Clause
"""A limit for queries that may take the master long, so that other requests need not wait.

The connections to the master are limited, and each request uses one until it is answered. A query
with a filter, or for arbitrary fields, can take seconds.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from twisted.internet.defer import DeferredSemaphore
from zope.interface import implementer

from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Query, Request

R = TypeVar("R")

MAX_CONCURRENT_QUERIES = 4
"""How many such queries run at once, and as many again that query nodes; others wait."""

NODE_QUERIES = frozenset(("export", "extstorage", "os"))
"""Kinds of objects that require a query to all nodes, which takes as long as the slowest node."""


@implementer(IMaster)
class QueryLimit:
    """A client of the master that limits the number of concurrent costly queries."""

    def __init__(self, master: IMaster, *, max_queries: int = MAX_CONCURRENT_QUERIES) -> None:
        self._master = master
        self._rows = DeferredSemaphore(max_queries)
        self._nodes = DeferredSemaphore(max_queries)

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        answer: R = msgspec.json.decode(await self.ask_raw(request, caller))
        return answer

    async def ask_raw(self, request: Request[object], caller: Caller | None = None) -> msgspec.Raw:
        if not isinstance(request, Query):
            return await self._master.ask_raw(request, caller)
        turns = self._nodes if request.what in NODE_QUERIES else self._rows
        await turns.acquire()
        try:
            return await self._master.ask_raw(request, caller)
        finally:
            turns.release()
