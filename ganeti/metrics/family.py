# SPDX-License-Identifier: BSD-2-Clause
"""Metrics as daemons keep them and pass them on, in the terms of Prometheus.

Nothing of Prometheus is needed to count: its library is loaded where somebody reads the numbers.
"""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from ganeti.schema.records import Record

Labels: TypeAlias = tuple[str, ...]

SECONDS = (0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
"""The upper bounds of buckets for what takes from milliseconds to hours."""

MAX_SERIES = 500
"""How many sets of label values one histogram or counter has; all others are counted together."""

OTHERS = "other"


class MetricType(enum.StrEnum):
    """What a family of metrics is."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Sample(Record, array_like=True):
    """A number, for some values of the labels."""

    labels: Labels
    value: float


class Distribution(Record, array_like=True):
    """How often what was observed fell into each bucket, and the sum of it.

    There is one bucket more than bounds, for what is larger than all of them.
    """

    labels: Labels
    buckets: tuple[int, ...]
    sum: float


class MetricFamily(Record):
    """Metrics of one name; without ``bounds`` there are samples, with them distributions."""

    name: str
    kind: MetricType
    doc: str
    labels: Labels = ()
    samples: tuple[Sample, ...] = ()
    bounds: tuple[float, ...] = ()
    distributions: tuple[Distribution, ...] = ()


def gauge(name: str, doc: str, value: float | None) -> MetricFamily:
    """Return a number without labels; None is not known."""
    samples = () if value is None else (Sample(labels=(), value=float(value)),)
    return MetricFamily(name=name, kind=MetricType.GAUGE, doc=doc, samples=samples)


def gauges(
    name: str, doc: str, labels: Sequence[str], values: Iterable[tuple[Labels, float]]
) -> MetricFamily:
    """Return numbers by the values of labels."""
    samples = tuple(Sample(labels=given, value=float(value)) for given, value in values)
    return MetricFamily(
        name=name, kind=MetricType.GAUGE, doc=doc, labels=tuple(labels), samples=samples
    )


class Counter:
    """Counts something, by the values of labels."""

    def __init__(self, name: str, doc: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._doc = doc
        self._labels = tuple(labels)
        self._values: dict[Labels, float] = {}

    def count(self, *labels: str, by: float = 1) -> None:
        """Count one more, or ``by``."""
        labels = _bounded(self._values, labels)
        self._values[labels] = self._values.get(labels, 0) + by

    def family(self) -> MetricFamily:
        """Return what was counted so far."""
        samples = tuple(Sample(labels=k, value=float(v)) for k, v in self._values.items())
        return MetricFamily(
            name=self._name,
            kind=MetricType.COUNTER,
            doc=self._doc,
            labels=self._labels,
            samples=samples,
        )


class Histogram:
    """Counts observations in buckets, by the values of labels."""

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

    def observe(self, value: float, *labels: str) -> None:
        """Count an observation."""
        buckets = self._buckets.get(labels)
        if buckets is None:
            labels = _bounded(self._buckets, labels)
            buckets = self._buckets.setdefault(labels, [0] * (len(self._bounds) + 1))
        buckets[bisect_left(self._bounds, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def family(self) -> MetricFamily:
        """Return what was observed so far."""
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


def _bounded(known: Mapping[Labels, object], labels: Labels) -> Labels:
    """Return ``labels``, or what stands for all others if there are too many already."""
    if labels in known or len(known) < MAX_SERIES:
        return labels
    return (OTHERS,) * len(labels)
