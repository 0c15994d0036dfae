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

    def test_panels_do_not_cover_each_other(self) -> None:
        panels = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
        places = {(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels}
        self.assertEqual(len(places), len(panels))

    def test_promtool_accepts_the_rules(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            raise SkipTest("promtool (of the package prometheus) is not here")
        command = [promtool, "check", "rules", str(SHIPPED / "ganeti.rules.yml")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
