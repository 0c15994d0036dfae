# SPDX-License-Identifier: BSD-2-Clause
"""Costly queries leave connections to the master to others."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import Query, QueryClusterInfo, Request
from ganeti.rapi.costly_queries import QueryLimit

QUERY = Query(what="node", fields=("name",))


@implementer(IMaster)
class SlowMaster:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Deferred[msgspec.Raw]] = []

    async def ask(self, request: Request[Any], caller: Caller | None = None) -> Any:
        return msgspec.json.decode(await self.ask_raw(request))

    async def ask_raw(self, request: Request[Any], caller: Caller | None = None) -> msgspec.Raw:
        self.asked.append(Deferred())
        return await self.asked[-1]


class QueryLimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.slow = SlowMaster()
        self.master = QueryLimit(self.slow, max_queries=2)

    def ask(self, request: Request[Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.master.ask(request))

    def test_costly_queries_wait_in_line_and_others_do_not(self) -> None:
        queries = [self.ask(QUERY) for _ in range(3)]
        self.assertEqual(len(self.slow.asked), 2)
        self.ask(QueryClusterInfo())
        self.assertEqual(len(self.slow.asked), 3)
        self.ask(Query(what="os", fields=("name",)))
        self.assertEqual(len(self.slow.asked), 4)
        self.slow.asked[0].callback(msgspec.Raw(b"1"))
        self.assertEqual(self.successResultOf(queries[0]), 1)
        self.assertEqual(len(self.slow.asked), 5)

    def test_who_hangs_up_leaves_the_line(self) -> None:
        first, *_, waiting = (self.ask(QUERY) for _ in range(3))
        for each in (waiting, first):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.ask(QUERY)
        self.assertEqual(len(self.slow.asked), 3)
