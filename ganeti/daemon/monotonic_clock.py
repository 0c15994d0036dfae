# SPDX-License-Identifier: BSD-2-Clause
"""The reactor of all daemons: its timers do not follow the clock of the host when that is set.

Twisted's reactors go by the time of day: were it set back by an hour, nothing would happen for an
hour; were it set forward, everything awaited would be overdue at once, and every node out of reach.
"""

from __future__ import annotations

import time

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor

_OFFSET = time.time() - time.monotonic()
"""The reactor's time begins as that of the host, so that both are the same while nobody sets it."""


class MonotonicReactor(EPollReactor):
    """A reactor whose time only ever grows."""

    def seconds(self) -> float:
        return time.monotonic() + _OFFSET


def install() -> MonotonicReactor:
    """Make a ``MonotonicReactor`` the reactor of this process, before anything asks for one."""
    reactor = MonotonicReactor()  # type: ignore[no-untyped-call]  # of Twisted
    installReactor(reactor)
    return reactor
