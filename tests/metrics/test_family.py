# SPDX-License-Identifier: BSD-2-Clause
"""What is counted has bounded labels, and Prometheus' own parser reads it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from ganeti.metrics.exposition import format_text
from ganeti.metrics.family import (
    MAX_SERIES,
    OTHERS,
    Counter,
    Histogram,
    MetricFamily,
    make_gauge,
    make_gauges,
)


def read(*families: MetricFamily) -> dict[tuple[str, tuple[str, ...]], float]:
    """The samples by name and label values, in the order of the labels' names."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(format_text(families).decode())
        for sample in family.samples
    }


class ExpositionTests(SynchronousTestCase):
    def test_a_gauge_that_is_not_known_has_no_sample(self) -> None:
        found = read(make_gauge("a", "A.", 1.5), make_gauge("b", "B.", None))
        self.assertEqual(found, {("a", ()): 1.5})

    def test_what_has_no_labels_begins_at_zero(self) -> None:
        found = read(Counter("sent", "Sent.").family(), Histogram("took", "Took.").family())
        self.assertEqual((found["sent_total", ()], found["took_count", ()]), (0, 0))
        self.assertEqual(read(Counter("calls", "Calls.", ("node",)).family()), {})

    def test_counts_add_up(self) -> None:
        counter = Counter("calls", "Calls.", ("node",))
        counter.count("n1")
        counter.count("n1", by=2)
        self.assertEqual(read(counter.family()), {("calls_total", ("n1",)): 3})

    @given(st.text(max_size=20))
    def test_labels_of_any_text_come_through(self, text: str) -> None:
        expected = text.encode("utf-8", "replace").decode()
        found = read(make_gauges("a", "A.", ("name",), [((expected,), 1.0)]))
        self.assertEqual(len(found), 1)

    def test_buckets_add_up_and_the_last_has_all(self) -> None:
        histogram = Histogram("took", "Took.", bounds=(1.0, 5.0))
        for value in (0.5, 1.0, 3.0, 100.0):
            histogram.observe(value)
        found = read(histogram.family())
        buckets = [found["took_bucket", (bound,)] for bound in ("1", "5", "+Inf")]
        self.assertEqual(buckets, [2, 3, 4])
        self.assertEqual((found["took_sum", ()], found["took_count", ()]), (104.5, 4))


class BoundTests(SynchronousTestCase):
    def test_too_many_label_values_are_counted_together(self) -> None:
        counter, histogram = Counter("a", "A.", ("x",)), Histogram("b", "B.", ("x",))
        for number in range(MAX_SERIES + 10):
            counter.count(str(number))
            histogram.observe(1.0, str(number))
        for series in (
            [each.labels for each in counter.family().samples],
            [each.labels for each in histogram.family().distributions],
        ):
            self.assertEqual((len(series), series[-1]), (MAX_SERIES + 1, (OTHERS,)))
        self.assertEqual(counter.family().samples[-1].value, 10)
