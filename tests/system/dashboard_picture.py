# SPDX-License-Identifier: BSD-2-Clause
"""Draws the Grafana dashboard that is shipped, from a real Prometheus and a cluster under load.

``python -m tests.system.dashboard_picture FILE.png [--seconds S]`` makes a cluster with the quick
start, has a Prometheus scrape it while jobs run, asks for each panel's lines as Grafana would, and
has a browser draw them at the place and in the unit that the dashboard says, with the plot library
of the console. It shows what the panels contain; how Grafana itself draws them differs in style.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.tags import AddTags, RemoveTags, TagKind
from ganeti.opcodes.test import Delay
from tests.golden.test_monitoring import SHIPPED
from tests.system.prometheus import RunningPrometheus
from tests.system.running import RunningCluster
from tests.system.test_console import FOLDER, require_browser

WIDTH, ROW = 1440, 34
"""The width of the picture, and the height of one row of the dashboard's grid, in pixels."""

COLUMNS = 24
"""The columns of the dashboard's grid (Grafana's JSON model of dashboards)."""

PAGE = """<!doctype html><meta charset="utf-8">
<link rel="stylesheet" href="{library}/uPlot.min.css">
<style>
body {{ margin: 0; background: #f4f5f5; font: 12px sans-serif; position: relative }}
section {{ position: absolute; background: #fff; border: 1px solid #ddd; box-sizing: border-box }}
h2 {{ font-size: 13px; margin: 6px 8px 0 }}
.u-legend {{ font-size: 10px; max-height: 40px; overflow: hidden; text-align: left }}
.u-legend .u-value, .u-legend tr:first-child {{ display: none }}
</style><body>
<script src="{library}/uPlot.iife.min.js"></script>
<script>
const COLORS = ["#3274d9", "#56a64b", "#e0752d", "#a352cc", "#c4162a", "#37872d", "#8f3bb8"];
const unit = {{
  bytes: (v) => (v / 2 ** 30).toFixed(1) + " GiB",
  Bps: (v) => (v / 1000).toFixed(0) + " kB/s",
  s: (v) => (v < 1 ? (v * 1000).toFixed(0) + " ms" : v.toFixed(1) + " s"),
  ops: (v) => v.toFixed(1) + "/s",
  reqps: (v) => v.toFixed(1) + "/s",
  d: (v) => v.toFixed(0) + " d",
  short: (v) => String(Math.round(v * 100) / 100),
}};
for (const panel of {panels}) {{
  const place = document.createElement("section");
  Object.assign(place.style, panel.style);
  const title = document.createElement("h2");
  title.textContent = panel.title;
  place.append(title);
  document.body.append(place);
  new uPlot({{
    width: panel.width, height: panel.height,
    series: [{{}}, ...panel.names.map((label, n) => (
      {{ label, stroke: COLORS[n % COLORS.length], spanGaps: true, points: {{ show: false }} }}))],
    axes: [{{ size: 24 }}, {{ size: 74, values: (_, all) => all.map(unit[panel.unit]) }}],
    scales: {{ y: {{ range: (_, low, high) => [Math.min(0, low), high <= 0 ? 1 : high * 1.1] }} }},
  }}, panel.columns, place);
}}
</script>"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long there is load")
    chosen = parser.parse_args(arguments)
    browser = require_browser()
    with ExitStack() as ending:
        running = RunningCluster()
        ending.callback(running.destroy)
        prometheus = RunningPrometheus(ending.callback, running)
        _work(running, chosen.seconds)
        panels = json.loads((SHIPPED / "dashboard.json").read_text())["panels"]
        drawn = [_drawn(panel, prometheus) for panel in panels]
    _take_picture(browser, drawn, chosen.picture.resolve())
    empty = [each["title"] for each in drawn if not each["names"]]
    print(f"{len(drawn) - len(empty)} of {len(drawn)} panels have lines; empty: {empty}")
    return bool(empty)


def _work(running: RunningCluster, seconds: float) -> None:
    """Have all kinds of jobs done, more and fewer of them in turn."""
    until = time.monotonic() + seconds
    first = f"first.{running.name}"
    turn = 0
    while time.monotonic() < until:
        turn += 1
        count = 1 + turn % 12
        tags = tuple(f"load-{turn}-{number}" for number in range(count))
        running.perform(*(AddTags(kind=TagKind.CLUSTER, tags=(tag,)) for tag in tags))
        running.perform(RemoveTags(kind=TagKind.CLUSTER, tags=tags), Delay(duration=0.1))
        if turn % 10 == 0:
            running.perform(ShutdownInstance(instance_name=first))
            running.perform(StartInstance(instance_name=first))
        running.curl("GET", "/2/instances?bulk=1")


def _drawn(panel: dict[str, Any], prometheus: RunningPrometheus) -> dict[str, Any]:
    """Return what the page needs to draw a panel: its place, unit, and columns of values."""
    names, lines = list[str](), list[dict[float, float]]()
    for target in panel["targets"]:
        for line in prometheus.lines(target["expr"]):
            name = target["legendFormat"]
            for label, value in line["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            names.append(name)
            lines.append({at: float(value) for at, value in line["values"] if value != "NaN"})
    times = sorted({at for line in lines for at in line})
    grid, column = panel["gridPos"], WIDTH / COLUMNS
    width, height = grid["w"] * column, grid["h"] * ROW
    return {
        "title": panel["title"],
        "unit": panel["fieldConfig"]["defaults"]["unit"],
        "names": names,
        "columns": [times, *([line.get(at) for at in times] for line in lines)],
        "width": width - 12,
        "height": height - 70,
        "style": {
            "left": f"{grid['x'] * column}px",
            "top": f"{grid['y'] * ROW}px",
            "width": f"{width - 6}px",
            "height": f"{height - 6}px",
        },
        "bottom": (grid["y"] + grid["h"]) * ROW,
    }


def _take_picture(browser: str, drawn: list[dict[str, Any]], picture: Path) -> None:
    library = (FOLDER / "node_modules/uplot/dist").as_uri()
    height = max(each["bottom"] for each in drawn)
    with tempfile.TemporaryDirectory(prefix="gnt-picture-") as folder:
        page = Path(folder, "dashboard.html")
        page.write_text(PAGE.format(library=library, panels=json.dumps(drawn)))
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={folder}/profile", "--virtual-time-budget=5000"),
                *(f"--window-size={WIDTH},{height}", f"--screenshot={picture}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    sys.exit(main())
