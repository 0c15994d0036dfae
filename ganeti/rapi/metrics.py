# SPDX-License-Identifier: BSD-2-Clause
"""The metrics of the remote API, and ``/metrics``, which also has those of the master."""

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

    ``more`` returns further metrics of the process, such as those of its connections.
    """

    def __init__(self, more: Callable[[], Iterable[MetricFamily]] = lambda: ()) -> None:
        self._more = more
        self._requests = Counter(
            "ganeti_api_requests",
            "Requests that the remote API has answered.",
            ("resource", "method", "status"),
        )
        self._seconds = Histogram(
            "ganeti_api_request_seconds",
            "Time from the request to the answer, without sending it.",
            ("resource",),
        )

    def answered(self, resource: str, method: str, status: int, seconds: float) -> None:
        """Count a request for a resource; ``resource`` is the path of its route."""
        self._requests.count(resource, method if method in METHODS else "other", str(status))
        self._seconds.observe(seconds, resource)

    def text(self, master: Families, events: EventHub) -> bytes:
        """Return the metrics of the master and of this process in the text format of Prometheus."""
        known = master.families
        own = [
            gauge("ganeti_master_up", "1 if the master daemon answers, else 0.", known is not None),
            self._requests.family(),
            self._seconds.family(),
            gauge("ganeti_event_subscribers", "Clients that read the event stream.", len(events)),
            *events.families(),
            *self._more(),
        ]
        return text_of([*(known or ()), *own])


@dataclass(frozen=True)
class Families:
    """The metrics of the master; None if it did not answer."""

    families: list[MetricFamily] | None


@dataclass(frozen=True)
class exposes:  # noqa: N801  # a word in a declaration
    """The verb of ``/metrics``: the metrics of master and remote API for Prometheus."""

    access: AuthenticationRealm = AuthenticationRealm.LOGIN
    parameters: tuple[QueryParameter, ...] = ()

    @property
    def doc(self) -> str:
        return (
            "Metrics of the cluster, its master and the remote API, in the text format of"
            " Prometheus."
        )

    async def __call__(self, call: ApiCall) -> Any:
        _, problems = values_of(self.parameters, call.query)
        refuse([*problems, *bodyless(call)])
        try:
            return Families(_decode(await call.master.ask_raw(QueryMetrics())))
        except Unanswered:
            return Families(None)  # this itself is a metric: ganeti_master_up
