# SPDX-License-Identifier: BSD-2-Clause
"""What the remote API counts, and ``/metrics``, which has the master's numbers, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from ganeti.luxi.methods import QueryMetrics
from ganeti.luxi.unreachable import Unanswered
from ganeti.metrics.exposition import text_of
from ganeti.metrics.family import Counter, Histogram, MetricFamily, gauge
from ganeti.rapi.access import AuthenticationRealm
from ganeti.rapi.arguments import QueryParameter, refuse, values_of
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.verbs import ApiCall, bodyless

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))

_decode = msgspec.json.Decoder(list[MetricFamily]).decode


class ApiMetrics:
    """Counts the requests of this process.

    ``more`` are numbers of what is around it, such as its connections.
    """

    def __init__(self, more: Callable[[], Iterable[MetricFamily]] = lambda: ()) -> None:
        self._more = more
        self._requests = Counter(
            "ganeti_api_requests",
            "Requests to the remote API that were answered.",
            ("resource", "method", "status"),
        )
        self._seconds = Histogram(
            "ganeti_api_request_seconds",
            "How long the answers took, without the time to send them.",
            ("resource",),
        )

    def answered(self, resource: str, method: str, status: int, seconds: float) -> None:
        """Count a request for a resource, which is the path of its route."""
        self._requests.count(resource, method if method in METHODS else "other", str(status))
        self._seconds.observe(seconds, resource)

    def text(self, master: Families, events: EventHub) -> bytes:
        """Return the numbers of the master and of this process in the format of Prometheus."""
        known = master.families
        own = [
            gauge("ganeti_master_up", "1 if the master daemon answers.", known is not None),
            self._requests.family(),
            self._seconds.family(),
            gauge("ganeti_event_subscribers", "Clients that read the event stream.", len(events)),
            *events.families(),
            *self._more(),
        ]
        return text_of([*(known or ()), *own])


@dataclass(frozen=True)
class Families:
    """What the master has answered; None if it did not."""

    families: list[MetricFamily] | None


@dataclass(frozen=True)
class exposes:  # noqa: N801  # a word in a declaration
    """The numbers of the master and of the remote API, in the text format of Prometheus."""

    access: AuthenticationRealm = AuthenticationRealm.LOGIN
    parameters: tuple[QueryParameter, ...] = ()

    @property
    def doc(self) -> str:
        return "Numbers about the cluster, its master and this API, in the format of Prometheus."

    async def __call__(self, call: ApiCall) -> Any:
        _, problems = values_of(self.parameters, call.query)
        refuse([*problems, *bodyless(call)])
        try:
            return Families(_decode(await call.master.ask_raw(QueryMetrics())))
        except Unanswered:
            return Families(None)  # which is a number, too
