# SPDX-License-Identifier: BSD-2-Clause
"""The Prometheus text format, version 0.0.4, produced by its own client library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ganeti.metrics.family import MetricFamily, MetricType

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def format_text(families: Iterable[MetricFamily]) -> bytes:
    """Return ``families`` in the text format."""
    # Imported here: the library takes a quarter of a second and some MiB to load, and few daemons
    # are scraped.
    from prometheus_client import generate_latest

    return generate_latest(_FamilyCollector(families))


class _FamilyCollector:
    """The part of a registry that ``generate_latest`` uses."""

    def __init__(self, families: Iterable[MetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for family in self._families:
            made: Any
            if family.kind is MetricType.HISTOGRAM:
                made = HistogramMetricFamily(family.name, family.doc, labels=family.labels)
                bounds = [*(f"{bound:g}" for bound in family.bounds), "+Inf"]
                for each in family.distributions:
                    counts = zip(bounds, accumulate(each.buckets), strict=True)
                    made.add_metric(each.labels, list(counts), each.sum)
            else:
                kind = (
                    CounterMetricFamily if family.kind is MetricType.COUNTER else GaugeMetricFamily
                )
                made = kind(family.name, family.doc, labels=family.labels)
                for sample in family.samples:
                    made.add_metric(sample.labels, sample.value)
            yield made
