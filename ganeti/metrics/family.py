# SPDX-License-Identifier: BSD-2-Clause
"""Counters and histograms, and metric families in the data model of Prometheus.

Collection does not need the Prometheus library; it is loaded only where metrics are formatted.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from ganeti.schema.records import Record

Labels: TypeAlias = tuple[str, ...]

SECONDS = (0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
"""Upper bounds of buckets for durations from milliseconds to an hour, in seconds."""

MAX_SERIES = 500
"""Maximum number of label sets of a histogram or counter; further ones are merged into one."""

OTHERS = "other"


class MetricType(enum.StrEnum):
    """The type of a metric family."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Sample(Record, array_like=True):
    """A value for one set of label values."""

    labels: Labels
    value: float


class Distribution(Record, array_like=True):
    """The observations for one set of label values: counts per bucket, and their sum.

    The last bucket counts the observations above all bounds.
    """

    labels: Labels
    buckets: tuple[int, ...]
    sum: float


class MetricFamily(Record):
    """The metrics of one name: samples, or with ``bounds`` distributions."""

    name: str
    kind: MetricType
    doc: str
    labels: Labels = ()
    samples: tuple[Sample, ...] = ()
    bounds: tuple[float, ...] = ()
    distributions: tuple[Distribution, ...] = ()


def make_gauge(name: str, doc: str, value: float | None) -> MetricFamily:
    """Return a gauge without labels; None means that the value is unknown."""
    samples = () if value is None else (Sample(labels=(), value=float(value)),)
    return MetricFamily(name=name, kind=MetricType.GAUGE, doc=doc, samples=samples)


def make_gauges(
    name: str, doc: str, labels: Sequence[str], values: Iterable[tuple[Labels, float]]
) -> MetricFamily:
    """Return gauges by label values."""
    samples = tuple(Sample(labels=given, value=float(value)) for given, value in values)
    return MetricFamily(
        name=name, kind=MetricType.GAUGE, doc=doc, labels=tuple(labels), samples=samples
    )


class Counter:
    """Counts occurrences by label values; one without labels begins at 0.

    Prometheus sees an increase only if there was a value before.
    """

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._doc = doc
        self._labels = tuple(labels)
        self._values: dict[Labels, float] = {} if labels else {(): 0.0}

    def count(self, *labels: str, by: float = 1) -> None:
        """Count one occurrence, or ``by``."""
        labels = _limit_series(self._values, labels)
        self._values[labels] = self._values.get(labels, 0) + by

    def family(self) -> MetricFamily:
        """Return the current counts."""
        samples = tuple(Sample(labels=k, value=float(v)) for k, v in self._values.items())
        return MetricFamily(
            name=self._name,
            kind=MetricType.COUNTER,
            doc=self._doc,
            labels=self._labels,
            samples=samples,
        )


class Histogram:
    """Counts observations in buckets, by label values; one without labels begins at 0."""

    def __init__(
        self,
        name: str,
        doc: str,
        labels: Sequence[str] = (),
        bounds: Sequence[float] = SECONDS,
    ) -> None:
        self._name = name
        self._doc = doc
        self._labels = tuple(labels)
        self._bounds = tuple(bounds)
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self._buckets[()], self._sums[()] = [0] * (len(self._bounds) + 1), 0.0

    def observe(self, value: float, *labels: str) -> None:
        """Add an observation."""
        buckets = self._buckets.get(labels)
        if buckets is None:
            labels = _limit_series(self._buckets, labels)
            buckets = self._buckets.setdefault(labels, [0] * (len(self._bounds) + 1))
        buckets[bisect_left(self._bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def family(self) -> MetricFamily:
        """Return the current distributions."""
        found = tuple(
            Distribution(labels=labels, buckets=tuple(buckets), sum=self._sums[labels])
            for labels, buckets in self._buckets.items()
        )
        return MetricFamily(
            name=self._name,
            kind=MetricType.HISTOGRAM,
            doc=self._doc,
            labels=self._labels,
            bounds=self._bounds,
            distributions=found,
        )


def _limit_series(known: Mapping[Labels, object], labels: Labels) -> Labels:
    """Return ``labels``, or the labels of all others if there are too many label sets."""
    if labels in known or len(known) < MAX_SERIES:
        return labels
    return (OTHERS,) * len(labels)
