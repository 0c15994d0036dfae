# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of real daemons tells its numbers, to a real Prometheus where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SkipTest

from ganeti.opcodes.test import Delay
from ganeti.paths import METRICS_PORT
from tests.golden.test_monitoring import SHIPPED
from tests.system.running import SharedCluster, eventually
from tests.system.talking import NodeEndpoint

LISTEN = "127.0.0.1:19090"

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

    def test_a_real_prometheus_reads_them_and_the_rules(self) -> None:
        prometheus = shutil.which("prometheus")
        if prometheus is None:
            raise SkipTest("prometheus (of the package of that name) is not here")
        folder = Path(tempfile.mkdtemp(prefix="gnt-prometheus-"))
        self.addCleanup(shutil.rmtree, folder)
        user, password = self.door.login
        config = {
            "global": {"scrape_interval": "1s"},
            "rule_files": [str(SHIPPED / "ganeti.rules.yml")],
            "scrape_configs": [
                {
                    "job_name": "ganeti",
                    "scheme": "https",
                    "basic_auth": {"username": user, "password": password},
                    "tls_config": {"ca_file": self.running.cluster.master.paths.authority},
                    "static_configs": [{"targets": [self.door.address.netloc]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML, too
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={LISTEN}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        eventually(lambda: self.asked("query?query=up") == ["1"])
        eventually(lambda: self.asked('query?query=ganeti_instances{status="running"}') == ["1"])
        with urlopen(f"http://{LISTEN}/api/v1/rules", timeout=10) as answer:
            [group] = json.load(answer)["data"]["groups"]
        self.assertEqual([r["name"] for r in group["rules"] if r.get("lastError")], [])

    def asked(self, question: str) -> list[str]:
        """The values that a query of Prometheus has; none while it does not answer."""
        try:
            with urlopen(f"http://{LISTEN}/api/v1/{question}", timeout=10) as answer:
                return [each["value"][1] for each in json.load(answer)["data"]["result"]]
        except OSError:
            return []
