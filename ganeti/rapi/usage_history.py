# SPDX-License-Identifier: BSD-2-Clause
"""What was used over days and months, and how jobs did, as Prometheus has kept it.

The answers have the form of those about the last hours, which the daemons keep themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

from twisted.internet.defer import Deferred, gatherResults

from ganeti.rapi.prometheus_queries import Prometheus, Selector, Span, Values

MAX_POINTS = 960
"""How many points an answer has at most."""

MIN_STEP = 15
"""Seconds between two points at least; steps are multiples of it."""

MIN_WINDOW = 240
"""Seconds over which rates are taken at least: four scrapes of a Prometheus with one a minute."""

MAX_HOURS = 366 * 24

MIB = 1 << 20

COUNTERS = {
    "cpu": "cpu_seconds_total",
    "disk_read": "disk_read_bytes_total",
    "disk_written": "disk_written_bytes_total",
    "received": "network_received_bytes_total",
    "sent": "network_sent_bytes_total",
}
"""The metrics of the series that are rates, without the prefix of hosts or guests."""

TIMES = {"wait": "ganeti_opcode_queue_seconds_bucket", "run": "ganeti_opcode_run_seconds_bucket"}
QUANTILES = {"p50": 0.5, "p95": 0.95}


class PastUsage(TypedDict):
    """Points of fixed step in seconds, the newest at ``end``; None is what is not known."""

    step: float
    end: float
    series: dict[str, Values]


class UsageHistory:
    """Reads the past from ``prometheus``. ``now`` in seconds since the epoch."""

    def __init__(
        self, prometheus: Prometheus, selector: Selector, now: Callable[[], float]
    ) -> None:
        self._prometheus = prometheus
        self._selector = selector
        self._now = now

    async def node(self, name: str, hours: int) -> PastUsage:
        """Return what a node has used.

        :raises HttpProblem: Prometheus cannot be asked.
        """
        span = span_of(self._now(), hours)
        return await self._ask(span, usage_queries(self._selector, "host", "node", name, span))

    async def instance(self, name: str, hours: int, since: float) -> PastUsage:
        """Return what an instance has used on all nodes since a time: when it was made.

        :raises HttpProblem: Prometheus cannot be asked.
        """
        span = span_of(self._now(), hours)
        history = await self._ask(span, usage_queries(self._selector, "guest", "guest", name, span))
        # What was before is about another instance with its name.
        own = max(0, min(span.count, int((span.end - since) // span.step) + 1))
        series = {key: values[span.count - own :] for key, values in history["series"].items()}
        return {**history, "series": series}

    async def jobs(self, hours: int) -> PastUsage:
        """Return how many jobs have ended in each step, and how long opcodes waited and ran.

        :raises HttpProblem: Prometheus cannot be asked.
        """
        span = span_of(self._now(), hours)
        return await self._ask(span, job_queries(self._selector, span))

    async def _ask(self, span: Span, queries: Mapping[str, str]) -> PastUsage:
        asked = [Deferred.fromCoroutine(self._one(each, span)) for each in queries.values()]
        found = await _all(asked)
        series = dict(zip(queries, found, strict=True))
        return {"step": float(span.step), "end": span.end, "series": series}

    async def _one(self, expression: str, span: Span) -> Values:
        return await self._prometheus.query(expression, span)


async def _all(asked: list[Deferred[Values]]) -> list[Values]:
    """Return all results, or cancel the others and raise the first error as it is."""
    together: Deferred[list[Values]] = gatherResults(asked, consumeErrors=True)
    together.addErrback(lambda failure: getattr(failure.value, "subFailure", failure))
    try:
        return await together
    finally:
        for each in asked:
            each.cancel()


def span_of(now: float, hours: int) -> Span:
    """Return the points of the last hours; the newest is not older than ``MIN_STEP``."""
    step = -(-hours * 3600 // (MAX_POINTS * MIN_STEP)) * MIN_STEP
    return Span(end=float(now // MIN_STEP * MIN_STEP), step=step, count=hours * 3600 // step)


def usage_queries(
    selector: Selector, kind: str, label: str, name: str, span: Span
) -> dict[str, str]:
    """Return the expressions of the series of a host or a guest."""
    window = max(MIN_WINDOW, span.step)
    memory = selector.selector_of(f"ganeti_{kind}_memory_used_bytes", **{label: name})
    queries = {"memory": f"sum(avg_over_time({memory}[{window}s])) / {MIB}"}
    for series, metric in COUNTERS.items():
        counter = selector.selector_of(f"ganeti_{kind}_{metric}", **{label: name})
        queries[series] = f"sum(rate({counter}[{window}s]))"
    return queries


def job_queries(selector: Selector, span: Span) -> dict[str, str]:
    """Return the expressions of the series of jobs."""
    window = max(MIN_WINDOW, span.step)
    queries = {}
    for status in ("success", "error", "canceled"):
        ended = selector.selector_of("ganeti_jobs_ended_total", status=status)
        # As many as in a step, also where rates are taken over a longer time.
        queries[status] = f"sum(rate({ended}[{window}s])) * {span.step}"
    for series, metric in TIMES.items():
        buckets = f"sum by (le) (rate({selector.selector_of(metric)}[{window}s]))"
        for name, quantile in QUANTILES.items():
            queries[f"{series}_{name}"] = f"histogram_quantile({quantile}, {buckets})"
    return queries
