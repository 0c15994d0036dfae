# SPDX-License-Identifier: BSD-2-Clause
"""The metrics of the remote API, and ``/metrics``, which also has those of the master."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from ganeti.luxi.methods import QueryMetrics
from ganeti.luxi.unreachable import NoAnswer
from ganeti.metrics.exposition import format_text
from ganeti.metrics.family import Counter, Histogram, MetricFamily, make_gauge
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.request_arguments import QueryParameter, parse_parameters, refuse
from ganeti.rapi.verbs import ApiCall, check_no_body

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
        # Clients can send any word as a method, which must not add a metric each time.
        self._requests.count(resource, method if method in METHODS else "other", str(status))
        self._seconds.observe(seconds, resource)

    def text(self, master: MasterFamilies, events: EventHub) -> bytes:
        """Return the metrics of the master and of this process in the text format of Prometheus."""
        known = master.families
        own = [
            make_gauge(
                "ganeti_master_up", "1 if the master daemon answers, else 0.", known is not None
            ),
            self._requests.family(),
            self._seconds.family(),
            make_gauge(
                "ganeti_event_subscribers", "Clients that read the event stream.", len(events)
            ),
            *events.families(),
            *self._more(),
        ]
        return format_text([*(known or ()), *own])


@dataclass(frozen=True)
class MasterFamilies:
    """The metrics of the master; None if it did not answer."""

    families: list[MetricFamily] | None


@dataclass(frozen=True)
class MetricsVerb:  # a word in a declaration
    """The verb of ``/metrics``: the metrics of master and remote API for Prometheus."""

    access: AccessLevel = AccessLevel.LOGIN
    parameters: tuple[QueryParameter, ...] = ()

    @property
    def doc(self) -> str:
        return (
            "Metrics of the cluster, its master and the remote API, in the text format of"
            " Prometheus."
        )

    async def __call__(self, call: ApiCall) -> object:
        _, problems = parse_parameters(self.parameters, call.query)
        refuse([*problems, *check_no_body(call)])
        try:
            return MasterFamilies(_decode(await call.master.ask_raw(QueryMetrics())))
        except NoAnswer:
            return MasterFamilies(None)  # this itself is a metric: ganeti_master_up
