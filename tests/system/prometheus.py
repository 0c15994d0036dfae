# SPDX-License-Identifier: BSD-2-Clause
"""A real Prometheus on loopback that scrapes a running cluster, and its node daemons."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from twisted.trial.unittest import SkipTest

from ganeti.paths import METRICS_PORT
from tests.golden.test_monitoring import SHIPPED
from tests.system.running import RunningCluster
from tests.system.talking import NodeEndpoint

Result = list[dict[str, Any]]


class RunningPrometheus:
    """Debian's Prometheus with the rules that are shipped, until the functions are called that
    ``at_end`` is given.

    :raises SkipTest: it is not installed.
    """

    def __init__(self, at_end: Callable[..., object], running: RunningCluster) -> None:
        prometheus = shutil.which("prometheus")
        if prometheus is None:
            raise SkipTest("prometheus (of the package of that name) is not here")
        # Of two that run at the same time, each has a port of its own.
        listen = f"127.0.0.1:{_free_port()}"
        self.address = f"http://{listen}"
        folder = Path(tempfile.mkdtemp(prefix="gnt-prometheus-"))
        at_end(shutil.rmtree, folder)
        (folder / "prometheus.yml").write_text(json.dumps(_configuration(running)))
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={listen}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        at_end(process.wait)
        at_end(process.terminate)

    def query(self, expression: str) -> Result:
        """The series of an expression now; none while Prometheus does not answer."""
        result: Result = self.ask("query", query=expression).get("result", [])
        return result

    def lines(self, expression: str) -> Result:
        """The series of an expression in the last minutes, as a plot asks for them."""
        now = time.time()
        asked = {"query": expression, "start": str(now - 300), "end": str(now), "step": "1"}
        result: Result = self.ask("query_range", **asked).get("result", [])
        return result

    def values(self, expression: str) -> list[str]:
        return [each["value"][1] for each in self.query(expression)]

    def ask(self, resource: str, **parameters: str) -> Any:
        """What a resource of its API answers; nothing while it does not."""
        try:
            address = f"{self.address}/api/v1/{resource}?{urlencode(parameters)}"
            with urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return {}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def _configuration(running: RunningCluster) -> dict[str, Any]:
    """The configuration, which is JSON, and so YAML, too."""
    endpoint = NodeEndpoint(running)
    user, password = endpoint.login
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(SHIPPED / "ganeti.rules.yml")],
        "scrape_configs": [
            {
                "job_name": "ganeti",
                "scheme": "https",
                "basic_auth": {"username": user, "password": password},
                "tls_config": {"ca_file": running.cluster.master.paths.authority},
                "static_configs": [{"targets": [endpoint.address.netloc]}],
            },
            {
                "job_name": "ganeti-nodes",
                "static_configs": [
                    {"targets": [f"{n.address}:{METRICS_PORT}" for n in running.cluster.nodes]}
                ],
            },
        ],
    }
