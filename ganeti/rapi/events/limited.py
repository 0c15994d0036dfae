# SPDX-License-Identifier: BSD-2-Clause
"""Events for callers that do not see all of them: what they must not see never gets here.

The events of all others are read once. For a caller with a limited role the master is asked on its
behalf, for all its streams together.
"""

from __future__ import annotations

from collections import OrderedDict
from http import HTTPStatus

from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.on_behalf import OnBehalf
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.verbs import Admitted
from ganeti.schema.records import replace

MAX_HUBS = 100
"""How many limited callers can read events at once; each has a connection to the master."""

MAX_BYTES = 1 << 20
"""How many bytes of events are kept for each, about."""


class LimitedHubs:
    """The readers of events, each for one caller."""

    def __init__(self, master: IMaster, everything: EventHub) -> None:
        self._master = master
        self._everything = everything
        self._hubs: OrderedDict[Caller, EventHub] = OrderedDict()

    def hub(self, admitted: Admitted) -> EventHub:
        """Return what reads events for a caller.

        :raises HttpProblem: too many read events.
        """
        if not admitted.limited:
            return self._everything
        caller = replace(admitted.caller, source="")  # the same from wherever it asks
        hub = self._hubs.get(caller)
        if hub is None:
            self._make_room()
            hub = self._hubs[caller] = self._everything.another(
                OnBehalf(self._master, caller), max_bytes=MAX_BYTES
            )
        self._hubs.move_to_end(caller)
        return hub

    def stop(self) -> None:
        """Read no events any more."""
        while self._hubs:
            self._hubs.popitem()[1].stop()

    def _make_room(self) -> None:
        for caller, hub in list(self._hubs.items()):
            if len(self._hubs) < MAX_HUBS:
                return
            # Without clients, it is only kept for one that may reconnect.
            if not len(hub):
                hub.stop()
                del self._hubs[caller]
        if len(self._hubs) >= MAX_HUBS:
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MAX_HUBS} users with limited roles read events already; try again later",
                (("Retry-After", "30"),),
            )
