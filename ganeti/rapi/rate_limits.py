# SPDX-License-Identifier: BSD-2-Clause
"""Rate limits: a token bucket for each client."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from ganeti.rapi.problems import HttpProblem

MAX_CLIENTS = 10_000
"""How many clients are tracked; beyond that, the least recently seen ones are dropped."""


def rate_limit_problem(what: str, seconds: float) -> HttpProblem:
    """Return the error for a client that must wait this many seconds."""
    wait = max(1, math.ceil(seconds))
    return HttpProblem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"too many {what}; try again in {wait} seconds",
        (("Retry-After", str(wait)),),
    )


class RateLimit:
    """A limit for each client: bursts of ``burst`` requests, and ``per_second`` in the long run.

    ``what`` names the requests in the message, in the plural.
    """

    def __init__(
        self, what: str, seconds: Callable[[], float], *, burst: int, per_second: float
    ) -> None:
        self._what = what
        self._seconds = seconds
        self._burst = burst
        self._per_second = per_second
        # For each client, the used part of the burst, and the time of that value.
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, client: str) -> None:
        """Reject a client that has exhausted its limit.

        :raises HttpProblem: 429, with the time to wait.
        """
        if (over := self._level(client) + 1 - self._burst) > 0:
            raise rate_limit_problem(self._what, over / self._per_second)

    def count_request(self, client: str) -> None:
        """Count a request of the client."""
        self._used[client] = self._level(client) + 1, self._seconds()
        self._used.move_to_end(client)
        if len(self._used) > MAX_CLIENTS:
            self._used.popitem(last=False)

    def reject_or_count(self, client: str) -> None:
        """Reject a client that has exhausted its limit, otherwise count the request.

        :raises HttpProblem: 429, with the time to wait.
        """
        self.check(client)
        self.count_request(client)

    def _level(self, client: str) -> float:
        used, at = self._used.get(client, (0.0, 0.0))
        return max(0.0, used - (self._seconds() - at) * self._per_second)
