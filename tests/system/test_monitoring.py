# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of real daemons tells its numbers, to a real Prometheus where there is one."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from ganeti.opcodes.notifications import RemoveNotification
from ganeti.opcodes.test import Delay
from ganeti.paths import METRICS_PORT
from tests.golden.test_monitoring import METRIC, SHIPPED
from tests.system.prometheus import RunningPrometheus
from tests.system.running import SharedCluster, eventually
from tests.system.talking import NodeEndpoint
from tools.quickstart.daemons import Daemon

Numbers = dict[tuple[str, tuple[str, ...]], float]


def numbers(text: str) -> Numbers:
    """The samples of an answer by name and label values."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class MonitoringTests(SharedCluster):
    def setUp(self) -> None:
        super().setUp()
        self.door = NodeEndpoint(self.running)

    def of_cluster(self) -> Numbers:
        raw = self.door.send("GET", "/metrics")
        self.assertEqual(raw.status, 200)
        return numbers(raw.body.decode())

    def test_the_numbers_of_the_cluster_are_there(self) -> None:
        self.running.perform(Delay(duration=0.0))
        eventually(lambda: self.of_cluster().get(("ganeti_instances", ("running",))) == 1)
        found = self.of_cluster()
        nodes = [node.name for node in self.running.cluster.nodes]
        self.assertEqual([found["ganeti_node_up", (name,)] for name in nodes], [1, 1, 1])
        self.assertGreaterEqual(found["ganeti_opcode_run_seconds_count", ("TEST_DELAY",)], 1)
        self.assertIn(("ganeti_certificate_expiry_timestamp_seconds", ("rapi",)), found)
        self.assertGreater(found["ganeti_journal_sync_seconds_count", ()], 0)

    def test_each_node_daemon_has_those_of_its_host(self) -> None:
        for node in self.running.cluster.nodes:
            with urlopen(f"http://{node.address}:{METRICS_PORT}/metrics", timeout=10) as answer:
                found = numbers(answer.read().decode())
            self.assertGreater(found["ganeti_host_memory_total_bytes", ()], 0)
            self.assertIn(("ganeti_certificate_expiry_timestamp_seconds", ("node",)), found)


class PrometheusTests(SharedCluster):
    """What is shipped for Prometheus works with a real one that scrapes a real cluster."""

    def setUp(self) -> None:
        super().setUp()
        self.prometheus = RunningPrometheus(self.addCleanup, self.running)
        self.running.perform(Delay(duration=0.0))
        eventually(lambda: self.prometheus.values("sum(up)") == ["4"])

    def test_it_reads_the_cluster_and_the_rules(self) -> None:
        running = 'ganeti_instances{status="running"}'
        eventually(lambda: self.prometheus.values(running) == ["1"])
        [group] = self.prometheus.ask("rules")["groups"]
        self.assertEqual([r["name"] for r in group["rules"] if r.get("lastError")], [])

    def test_every_panel_of_the_dashboard_draws_lines(self) -> None:
        left = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
        why: dict[str, str] = {}

        def drawn() -> bool:
            # Rates and percentiles need something that happens between two scrapes.
            self.running.perform(Delay(duration=0.0))
            for panel in list(left):
                if problem := self.find_problem(panel):
                    why[panel["title"]] = problem
                else:
                    left.remove(panel)
            return not left

        try:
            eventually(drawn)
        except AssertionError:
            self.fail(f"not drawn: {[(each['title'], why[each['title']]) for each in left]}")

    def find_problem(self, panel: dict[str, Any]) -> str:
        """Why a panel would be empty or not understood; nothing if it is as it should be.

        Each expression needs a line, of two values that are numbers, and each line a name of its
        own, from labels that it has.
        """
        names: list[str] = []
        for target in panel["targets"]:
            expression, legend = target["expr"], target["legendFormat"]
            lines = self.prometheus.lines(expression)
            finite = [
                [value for _, value in line["values"] if math.isfinite(float(value))]
                for line in lines
            ]
            if not any(len(values) >= 2 for values in finite):
                return f"{expression} has no line of two values: {lines}"
            labels = re.findall(r"\{\{(\w+)\}\}", legend)
            if missing := [each for each in labels if not all(each in x["metric"] for x in lines)]:
                return f"{expression} has no label {missing}"
            names += [legend + str([line["metric"][each] for each in labels]) for line in lines]
        return "" if len(set(names)) == len(names) else f"two lines have the same name: {names}"

    def test_every_alert_is_about_metrics_that_the_cluster_has(self) -> None:
        hook = {"name": "hook", "url": "http://127.0.0.1:9/", "kinds": ["network"]}
        self.assertEqual(self.running.curl("POST", "/2/notifications", hook)[0], 200)
        self.addCleanup(self.running.perform, RemoveNotification(notification_name="hook"))
        watcher = self.running.quickstart(
            "run", sys.executable, "-P", "-m", "ganeti.daemon.watcher"
        )
        self.assertEqual(watcher.returncode, 0, watcher.stderr)
        [group] = self.prometheus.ask("rules")["groups"]
        self.find_all({name for rule in group["rules"] for name in METRIC.findall(rule["query"])})

    def test_usage_and_job_rates_of_days_are_answered_by_it(self) -> None:
        rapi = self.running.daemon("rapi")
        self.restart(
            rapi, f"--prometheus={self.prometheus.address}", "--prometheus-label=job=ganeti-nodes"
        )
        self.addCleanup(self.restart, rapi)
        node = self.running.cluster.master.name

        def known() -> list[float]:
            status, told = self.running.curl("GET", f"/2/nodes/{node}/usage?hours=1")
            self.assertEqual((status, told["step"]), (200, 15))
            return [each for each in told["series"]["memory"] if each is not None]

        self.assertGreater(eventually(known)[-1], 0)
        status, told = self.running.curl("GET", "/2/job-rates?hours=24")
        self.assertEqual((status, told["step"]), (200, 90))

    def test_a_prometheus_that_is_not_there_is_told(self) -> None:
        rapi = self.running.daemon("rapi")
        self.restart(rapi, "--prometheus=http://127.0.0.1:9")
        self.addCleanup(self.restart, rapi)
        status, told = self.running.curl("GET", "/2/job-rates?hours=24")
        self.assertEqual(status, 502)
        self.assertIn(
            "Prometheus at http://127.0.0.1:9 does not answer: connection refused", told["message"]
        )

    def restart(self, daemon: Daemon, *options: str) -> None:
        self.running.kill(daemon.kind)
        daemon.start(*options)

    def find_all(self, left: set[str]) -> None:
        """Wait until each of some expressions has a series."""

        def found() -> bool:
            left.difference_update([each for each in left if self.prometheus.query(each)])
            return not left

        try:
            eventually(found)
        except AssertionError:
            self.fail(f"without any series: {left}")
