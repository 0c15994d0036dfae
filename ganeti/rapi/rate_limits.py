# SPDX-License-Identifier: BSD-2-Clause
"""How often one client may do what costs others something: token buckets, one for each client."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from ganeti.rapi.problems import HttpProblem

MAX_CLIENTS = 10_000
"""How many clients are remembered; of more, those that were seen least recently are forgotten."""


def too_many(what: str, seconds: float) -> HttpProblem:
    """Return the refusal of a client that has to wait so long."""
    wait = max(1, math.ceil(seconds))
    return HttpProblem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"too many {what}; try again in {wait} seconds",
        (("Retry-After", str(wait)),),
    )


class RateLimit:
    """Each client may do something ``burst`` times at once, and ``per_second`` in the long run.

    ``what`` that is, in the plural, is for the message.
    """

    def __init__(
        self, what: str, seconds: Callable[[], float], *, burst: int, per_second: float
    ) -> None:
        self._what = what
        self._seconds = seconds
        self._burst = burst
        self._per_second = per_second
        # For each client, how much of the burst was used, and when that was so.
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, client: str) -> None:
        """Refuse a client that has used up its share.

        :raises Problematic: 429, with the time to wait.
        """
        if (over := self._level(client) + 1 - self._burst) > 0:
            raise too_many(self._what, over / self._per_second)

    def count(self, client: str) -> None:
        """Note that the client has done it once."""
        self._used[client] = self._level(client) + 1, self._seconds()
        self._used.move_to_end(client)
        if len(self._used) > MAX_CLIENTS:
            self._used.popitem(last=False)

    def take(self, client: str) -> None:
        """Refuse a client that has used up its share, or note that it does it now.

        :raises Problematic: 429, with the time to wait.
        """
        self.check(client)
        self.count(client)

    def _level(self, client: str) -> float:
        used, at = self._used.get(client, (0.0, 0.0))
        return max(0.0, used - (self._seconds() - at) * self._per_second)
