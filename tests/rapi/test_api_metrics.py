# SPDX-License-Identifier: BSD-2-Clause
"""``/metrics`` has the numbers of the master and of the API, whatever is away."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import QueryMetrics, QueryTags
from ganeti.metrics.family import make_gauge
from ganeti.testing.master import MemoryMaster
from tests.golden.test_monitoring import SHIPPED, told
from tests.rapi.asking import NodeClient

NUMBERS = [make_gauge("ganeti_journal_position", "The last commit.", 7)]


class MetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({QueryMetrics: NUMBERS, QueryTags: []})
        self.asker = NodeClient(self.master, self.mktemp())

    def numbers(self) -> dict[tuple[str, tuple[str, ...]], float]:
        answer = self.asker.ask("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }

    def test_the_numbers_of_the_master_are_there(self) -> None:
        found = self.numbers()
        self.assertEqual(found["ganeti_journal_position", ()], 7)
        self.assertEqual(found["ganeti_master_up", ()], 1)

    def test_every_number_is_documented(self) -> None:
        self.asker.ask("GET", "/2/tags")
        known = told((SHIPPED.parent / "monitoring.md").read_text())
        self.assertLessEqual(told("\n".join(name for name, _ in self.numbers())), known)

    def test_a_master_that_is_away_is_a_number(self) -> None:
        self.master.away = True
        self.assertEqual(self.numbers()["ganeti_master_up", ()], 0)

    def test_requests_are_counted_by_resource_and_not_by_address(self) -> None:
        for path in (
            "/2/instances/web1/tags",
            "/2/instances/web2/tags",
            "/nowhere/1",
            "/nowhere/2",
        ):
            self.asker.ask("GET", path)
        self.asker.ask("BREW", "/2/tags")
        found = self.numbers()
        name = "ganeti_api_requests_total"
        self.assertEqual(found[name, ("GET", "/2/instances/{instance_name}/tags", "200")], 2)
        self.assertEqual(found[name, ("other", "/2/tags", "405")], 1)
        resources = {labels[1] for sample, labels in found if sample == name}
        self.assertEqual(resources, {"/2/instances/{instance_name}/tags", "/2/tags"})

    def test_it_takes_a_login(self) -> None:
        self.assertEqual(self.asker.ask("GET", "/metrics", headers="").status, 401)
        self.assertEqual(self.asker.ask("GET", "/metrics?x=1").status, 400)
