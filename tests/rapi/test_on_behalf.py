# SPDX-License-Identifier: BSD-2-Clause
"""No request of a client reaches the master without saying on whose behalf it is made."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import AccessDenied
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import QueryCaller
from ganeti.rapi.on_behalf import OnBehalf
from ganeti.testing.master import MemoryMaster

ANN, BEA = Caller(user="ann"), Caller(user="bea")


class OnBehalfTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({QueryCaller: {"user": "ann"}})
        self.behalf = OnBehalf(self.master, ANN)

    def test_it_is_a_master(self) -> None:
        verifyObject(IMaster, self.behalf)

    def test_every_request_has_the_caller(self) -> None:
        told = self.successResultOf(self.behalf.ask(QueryCaller()))
        raw = self.successResultOf(self.behalf.ask_raw(QueryCaller()))
        self.assertEqual((told, raw), ({"user": "ann"}, msgspec.Raw(b'{"user":"ann"}')))
        self.assertEqual(self.master.callers, [ANN, ANN])

    def test_another_caller_may_be_named_but_none_may_not(self) -> None:
        for given, wanted in ((BEA, BEA), (None, ANN)):
            self.successResultOf(self.behalf.ask(QueryCaller(), given))
            self.successResultOf(self.behalf.ask_raw(QueryCaller(), given))
            self.assertEqual(self.master.callers[-2:], [wanted, wanted])

    def test_what_the_master_refuses_is_refused(self) -> None:
        self.master.canned[QueryCaller] = AccessDenied("ann may not do that")
        for asked in (self.behalf.ask, self.behalf.ask_raw):
            self.failureResultOf(asked(QueryCaller()), AccessDenied)
