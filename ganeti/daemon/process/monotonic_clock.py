# SPDX-License-Identifier: BSD-2-Clause
"""The reactor of all daemons, whose timers are unaffected by changes of the host's clock.

Twisted's reactors use the time of day: if it is set back by an hour, no timer fires for an hour; if
it is set forward, all timeouts expire at once and all nodes seem unreachable.
"""

from __future__ import annotations

import time

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor

_OFFSET = time.time() - time.monotonic()
"""The reactor's time starts at the time of day, and equals it unless the clock is changed."""


class MonotonicReactor(EPollReactor):
    """A reactor whose time is monotonic."""

    def seconds(self) -> float:
        return time.monotonic() + _OFFSET


def install() -> MonotonicReactor:
    """Install a ``MonotonicReactor``, before any other reactor is imported."""
    reactor = MonotonicReactor()  # type: ignore[no-untyped-call]  # of Twisted
    installReactor(reactor)
    return reactor
