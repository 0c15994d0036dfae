# SPDX-License-Identifier: BSD-2-Clause
"""New connections replace idle ones when there are too many."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.web.limits.connections import ConnectionLimit
from ganeti.web.rate_limited_log import RateLimitedLog


class FakeConnection:
    """Notes that it was closed."""

    def __init__(self, *, idle: bool) -> None:
        self.idle = idle
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class ConnectionLimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.warnings: list[str] = []
        log = RateLimitedLog(Clock(), lambda text, **_: self.warnings.append(text))
        self.limit = ConnectionLimit(2, log)

    def admit(self, *, idle: bool) -> FakeConnection:
        connection = FakeConnection(idle=idle)
        self.limit.admit(connection)
        return connection

    def test_the_oldest_idle_one_makes_room(self) -> None:
        several = [self.admit(idle=idle) for idle in (False, True, False)]
        self.assertEqual([each.aborted for each in several], [False, True, False])
        self.assertEqual(self.warnings, ["{n} connections: closing an idle one"])

    def test_one_that_was_closed_makes_room_once(self) -> None:
        several = [self.admit(idle=True) for _ in range(4)]
        self.assertEqual([each.aborted for each in several], [True, True, False, False])
        self.assertEqual(len(self.limit), 2)

    def test_where_none_is_idle_the_new_one_is_closed(self) -> None:
        several = [self.admit(idle=False) for _ in range(3)]
        self.assertEqual([each.aborted for each in several], [False, False, True])
        self.assertEqual(self.warnings, ["{n} connections: full"])

    def test_one_that_is_gone_makes_room(self) -> None:
        first, _ = self.admit(idle=False), self.admit(idle=False)
        self.limit.release(first)
        self.assertFalse(self.admit(idle=False).aborted)
