# SPDX-License-Identifier: BSD-2-Clause
"""Filters that are missing are set again, and the log tells that."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.errors import Failed
from ganeti.hypervisor.interfaces import IPacketFilters
from ganeti.node.filter_restorer import FilterRestorer


@implementer(IPacketFilters)
class Filters:
    def __init__(self, *lost: str, error: str = "", ended: Sequence[str] = ()) -> None:
        self.lost, self.error, self.ended = lost, error, ended

    async def restore_servers(self) -> Sequence[str]:
        return self.ended

    async def restore_filters(self) -> Sequence[str]:
        if self.error:
            raise Failed(self.error)
        return self.lost


class FilterRestorerTests(SynchronousTestCase):
    def logged(self, **hypervisors: object) -> list[tuple[object, object]]:
        restorer = FilterRestorer(hypervisors)  # type: ignore[arg-type]  # only their filters
        with capturedLogs() as events:
            self.successResultOf(restorer.restore())
        return [(each["log_level"], each.get("name") or each.get("why")) for each in events]

    def test_each_lost_filter_is_told(self) -> None:
        found = self.logged(fake=object(), kvm=Filters("web1", "web2"))
        self.assertEqual(found, [(LogLevel.warn, "web1"), (LogLevel.warn, "web2")])

    def test_a_failure_does_not_end_the_daemon(self) -> None:
        found = self.logged(kvm=Filters(error="no memory"), xen=Filters("web1"))
        self.assertEqual(found, [(LogLevel.error, "no memory"), (LogLevel.warn, "web1")])

    def test_each_server_that_had_ended_is_told(self) -> None:
        found = self.logged(kvm=Filters("web1", ended=["web2"]))
        self.assertEqual(found, [(LogLevel.warn, "web2"), (LogLevel.warn, "web1")])
