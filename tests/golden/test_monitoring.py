# SPDX-License-Identifier: BSD-2-Clause
"""The alert rules and the dashboard that are shipped ask for metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

SHIPPED = Path(__file__).parents[2] / "doc" / "monitoring"
METRIC = re.compile(r"\bganeti_\w+")
_PARTS = ("_bucket", "_sum", "_count")

UNITS = {
    "_timestamp_seconds": "d",
    "_seconds_bucket": "s",
    "_bytes_total": "Bps",
    "_bytes": "bytes",
}
"""The unit of a panel by the first part of these that is in its expressions; others count."""

STEP = 5
"""The minutes between two values of the series of the tests of alerts."""

HOURS = {"GanetiWatcherPaused": 26}
"""How long something is so until an alert fires; two hours where nothing is said."""

GOOD = {
    "ganeti_master_up": "1",
    "ganeti_master_lease": "1",
    "ganeti_journal_refuses": "0",
    'ganeti_replica_in_sync{node="node2"}': "1",
    'ganeti_node_up{node="node2"}': "1",
    'ganeti_instances{status="running"}': "7",
    'ganeti_instances{status="ADMIN_down"}': "7",
    "ganeti_watcher_given_up": "0",
    "ganeti_watcher_paused": "0",
    "ganeti_watcher_run_timestamp_seconds": "0+300",
    "ganeti_authority_replacement_due": "0",
    "ganeti_disks_degraded": "0",
    "ganeti_nodes_held": "0",
    'ganeti_node_fences{stage="fenced"}': "0",
    'ganeti_notification_failing_seconds{notification="chat"}': "0",
    "ganeti_nodes_without_spare_memory": "0",
    'ganeti_node_memory_free_bytes{node="node2"}': "50",
    'ganeti_node_memory_total_bytes{node="node2"}': "100",
    'ganeti_node_storage_free_bytes{node="node2",kind="lvm-vg",unit="xenvg"}': "50",
    'ganeti_node_storage_size_bytes{node="node2",kind="lvm-vg",unit="xenvg"}': "100",
    'ganeti_jobs{status="queued"}': "3",
    'ganeti_jobs_ended_total{status="success"}': "0+1",
    'ganeti_journal_sync_seconds_bucket{le="0.5"}': "0+60",
    'ganeti_journal_sync_seconds_bucket{le="1"}': "0+60",
    'ganeti_journal_sync_seconds_bucket{le="+Inf"}': "0+60",
    'ganeti_certificate_expiry_timestamp_seconds{certificate="rapi"}': str(90 * 86400),
    'ganeti_api_requests_total{method="GET",resource="/2/info",status="200"}': "0+60",
    'ganeti_api_requests_total{method="GET",resource="/2/info",status="500"}': "0",
}
"""The series of a cluster with nothing to be said about."""

BAD: dict[str, dict[str, str]] = {
    "GanetiMasterDown": {"ganeti_master_up": "0"},
    "GanetiMasterWithoutMajority": {"ganeti_master_lease": "0"},
    "GanetiJournalRefusesChanges": {"ganeti_journal_refuses": "1"},
    "GanetiReplicaOutOfSync": {'ganeti_replica_in_sync{node="node2"}': "0"},
    "GanetiNodeUnreachable": {'ganeti_node_up{node="node2"}': "0"},
    "GanetiInstancesDown": {'ganeti_instances{status="ERROR_down"}': "2"},
    "GanetiInstancesGivenUp": {"ganeti_watcher_given_up": "1"},
    "GanetiWatcherSilent": {"ganeti_watcher_run_timestamp_seconds": "0"},
    "GanetiWatcherPaused": {"ganeti_watcher_paused": "1"},
    "GanetiAuthorityReplacementDue": {"ganeti_authority_replacement_due": "1"},
    "GanetiDisksDegraded": {"ganeti_disks_degraded": "1"},
    "GanetiNodeHeld": {"ganeti_nodes_held": "1"},
    "GanetiNodeFenced": {'ganeti_node_fences{stage="fenced"}': "1"},
    "GanetiNotificationFails": {'ganeti_notification_failing_seconds{notification="chat"}': "700"},
    "GanetiNoSpareMemory": {"ganeti_nodes_without_spare_memory": "1"},
    "GanetiNodeMemoryLow": {'ganeti_node_memory_free_bytes{node="node2"}': "1"},
    "GanetiNodeStorageLow": {
        'ganeti_node_storage_free_bytes{node="node2",kind="lvm-vg",unit="xenvg"}': "1"
    },
    "GanetiJobsWait": {'ganeti_jobs_ended_total{status="success"}': "5"},
    "GanetiSyncSlow": {'ganeti_journal_sync_seconds_bucket{le="0.5"}': "0"},
    "GanetiCertificateEnds": {
        'ganeti_certificate_expiry_timestamp_seconds{certificate="rapi"}': str(10 * 86400)
    },
    "GanetiApiErrors": {
        'ganeti_api_requests_total{method="GET",resource="/2/info",status="500"}': "0+60"
    },
}
"""What is otherwise when an alert is right."""


def rule_test(firing: str, series: dict[str, str]) -> dict[str, object]:
    """A test of promtool: which alerts fire in the end; none if ``firing`` is empty."""
    steps = HOURS.get(firing, 2) * 60 // STEP
    labels = f'{{alertname="{firing}"}}'
    return {
        "interval": f"{STEP}m",
        "input_series": [
            {"series": name, "values": f"{value}x{steps}"} for name, value in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{STEP * steps}m",
                "exp_samples": [{"labels": labels, "value": 1}] if firing else [],
            }
        ],
    }


def told(text: str) -> set[str]:
    """The metrics that a text names, without the parts of histograms."""
    names = set()
    for name in METRIC.findall(text):
        part = next((each for each in _PARTS if name.endswith(each)), "")
        names.add(name.removesuffix(part))
    return names


class MonitoringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.documented = told((SHIPPED.parent / "monitoring.md").read_text())

    def test_rules_and_dashboard_are_about_metrics_of_the_documentation(self) -> None:
        for name in ("ganeti.rules.yml", "dashboard.json"):
            expressions = re.findall(r'"?expr"?: (.*)', (SHIPPED / name).read_text())
            self.assertGreater(len(expressions), 10)
            self.assertLessEqual(told("\n".join(expressions)), self.documented, name)

    def test_every_alert_says_what_to_do(self) -> None:
        text = (SHIPPED / "ganeti.rules.yml").read_text()
        self.assertEqual(text.count("- alert:"), text.count("action:"))

    def test_each_panel_has_the_unit_of_its_metrics(self) -> None:
        panels = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
        for panel in panels:
            unit = panel["fieldConfig"]["defaults"]["unit"]
            for each in panel["targets"]:
                expected = next((u for part, u in UNITS.items() if part in each["expr"]), None)
                self.assertEqual(unit if unit in UNITS.values() else None, expected, each["expr"])

    def test_panels_do_not_cover_each_other(self) -> None:
        panels = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
        places = {(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels}
        self.assertEqual(len(places), len(panels))


class PromtoolTests(SynchronousTestCase):
    """Debian's promtool reads the rules as Prometheus does."""

    def promtool(self, *arguments: str) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            raise SkipTest("promtool (of the package prometheus) is not here")
        command = [promtool, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_accepts_the_rules(self) -> None:
        self.promtool("check", "rules", str(SHIPPED / "ganeti.rules.yml"))

    def test_each_alert_fires_for_what_it_is_about_and_for_nothing_else(self) -> None:
        rules = SHIPPED / "ganeti.rules.yml"
        self.assertEqual(re.findall(r"- alert: (\w+)", rules.read_text()), list(BAD))
        tests = [rule_test("", GOOD)]
        tests += [rule_test(alert, {**GOOD, **changed}) for alert, changed in BAD.items()]
        path = Path(self.mktemp()).absolute()
        # JSON is YAML, too.
        path.write_text(
            json.dumps(
                {"rule_files": [str(rules)], "evaluation_interval": f"{STEP}m", "tests": tests}
            )
        )
        self.promtool("test", "rules", str(path))
