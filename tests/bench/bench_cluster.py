# SPDX-License-Identifier: BSD-2-Clause
"""What a cluster of three nodes on this host can do, from end to end.

``python -m tests.bench.bench_cluster [--instances N] [--beside FILE]`` makes a cluster with the
quick start, prints figures, takes the bare limits in the same run, and removes the cluster. With
``--beside``, a JSON object of other figures by name, it prints how many times better ours are.
Where others use the machine, compare figures of one run, and look at processor time.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.loads import Luxi, answer_size, calls, requests, serve_bare, syncs, until

TREE = Path(__file__).parents[2]
BARE_PORT = 5999
HERE = ("masterd", "rapi", "noded")
"""The daemons of the master's node."""


class Report:
    """Prints figures, with the ratio to others of the same name; names end with the unit."""

    def __init__(self, others: dict[str, float]) -> None:
        self.figures: dict[str, float] = {}
        self._others = others

    def __call__(self, name: str, figure: float) -> None:
        self.figures[name] = figure
        line = f"{name:<58} {figure:10.4g}"
        if other := self._others.get(name):
            better = figure / other if name.endswith("/s") else other / figure
            line += f"   {better:8.3g} times as good"
        print(line, flush=True)

    def share(self, name: str, limit: str) -> None:
        """Print how much of a limit was reached."""
        part = self.figures[name] / self.figures[limit]
        print(f"{name:<58} {part:10.0%} of {limit}")


class Cluster:
    """A running cluster of the quick start."""

    called = "bench"

    def __init__(self, folder: str) -> None:
        self._command = [str(TREE / "quickstart"), "--name", self.called, "--folder", folder]
        self.start()

    def start(self) -> None:
        """Create the cluster, or start those of its daemons that do not run."""
        self._told("start")
        self.refresh()

    def refresh(self) -> None:
        lines = self._told("env").splitlines()
        self.facts = dict(line.split("=", 1) for line in lines)
        said = {key: shlex.split(value)[0] if value else "" for key, value in self.facts.items()}
        self.socket, self.url = said["LUXI_SOCKET"], said["RAPI_URL"]
        self.root, self.name = said["GANETI_ROOTDIR"], said["GANETI_HOSTNAME"]
        self.pem = f"{self.root}/var/lib/ganeti/rapi.pem"
        self.folder = os.path.dirname(self.root)
        login = f"{said['RAPI_USER']}:{said['RAPI_PASSWORD']}"
        self.login = base64.b64encode(login.encode()).decode()
        self.pids = {name: int(pid) for name, pid in said.items() if "_PID" in name}

    def _told(self, *command: str) -> str:
        what = [*self._command, *command]
        if command == ("start",):
            what.pop()
        return subprocess.run(what, check=True, stdout=subprocess.PIPE, text=True).stdout

    def remove(self) -> None:
        self._told("destroy")

    def here(self) -> dict[str, int]:
        """The daemons of the master's node."""
        names = {"masterd": "MASTERD_PID", "rapi": "RAPI_PID", "noded": "NODED_PID_1"}
        return {name: self.pids[key] for name, key in names.items()}

    def processor_seconds(self) -> float:
        """What all daemons and their children have used."""
        ticks = 0
        for pid in self.pids.values():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> tuple[float, float]:
        """RSS and PSS of the daemons of the master's node, in MiB."""
        total = {"Rss:": 0, "Pss:": 0}
        for pid in self.here().values():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, value, *_ = line.split()
                if name in total:
                    total[name] += int(value)
        return total["Rss:"] / 1024, total["Pss:"] / 1024

    def end_daemons(self) -> None:
        for pid in self.here().values():
            os.kill(pid, signal.SIGTERM)
        for pid in self.here().values():
            until(lambda pid=pid: gone(pid))  # type: ignore[misc]

    def end_daemon(self, name: str) -> None:
        """End one of the daemons of the master's node, and wait until it is gone."""
        pid = self.here()[name]
        os.kill(pid, signal.SIGTERM)
        until(lambda: gone(pid))

    def start_daemons(self) -> list[subprocess.Popen[bytes]]:
        node = {"GANETI_ROOTDIR": self.root, "GANETI_HOSTNAME": self.name}
        environment = {**os.environ, **node, "PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": ""}
        return [
            subprocess.Popen([sys.executable, "-m", f"ganeti.daemon.{name}"], env=environment)
            for name in HERE
        ]


def gone(pid: int) -> None:
    """Wait for the end of a process by ``until``.

    :raises ConnectionError: it is still there.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        raise ConnectionError("it is still there")


def a_delay() -> dict[str, Any]:
    return {"OP_ID": "OP_TEST_DELAY", "duration": 0, "on_master": True, "on_nodes": []}


def a_tag(text: str) -> dict[str, Any]:
    return {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "name": None, "tags": [text]}


def an_instance(name: str) -> dict[str, Any]:
    return {
        "OP_ID": "OP_INSTANCE_CREATE",
        "instance_name": f"{name}.example.com",
        "mode": "create",
        "disk_template": "diskless",
        "disks": [],
        "nics": [{}],
        "os_type": "noop",
        "beparams": {"memory": 16, "vcpus": 1},
        "name_check": False,
        "ip_check": False,
    }


def a_network(number: int) -> dict[str, Any]:
    network = f"10.{number}.0.0/16"
    return {"OP_ID": "OP_NETWORK_ADD", "network_name": f"net{number}", "network": network}


def measure_jobs(cluster: Cluster, report: Report) -> None:
    master = Luxi(cluster.socket)
    master.run_all([a_delay() for _ in range(50)])
    best = min(master.run_all([a_delay() for _ in range(500)]) for _ in range(3))
    report("500 no-op jobs, jobs/s", 500 / best)
    report("one no-op job, ms", _milliseconds(master, [a_delay() for _ in range(50)]))
    names = [an_instance(f"single{number}") for number in range(20)]
    report("20 instances one by one, ms each", _milliseconds(master, names))
    before = cluster.processor_seconds()
    spent = master.run_all([an_instance(f"together{number}") for number in range(20)])
    report("20 instances in parallel, ms each", spent * 50)
    used = cluster.processor_seconds() - before
    report("the same, processor ms each, all daemons", used * 50)


def _milliseconds(master: Luxi, opcodes: list[dict[str, Any]]) -> float:
    spent = []
    for opcode in opcodes:
        begun = time.perf_counter()
        master.run(opcode)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) * 1000


def measure_tags(cluster: Cluster, report: Report, instances: int) -> None:
    master = Luxi(cluster.socket)
    before = cluster.processor_seconds()
    tags = [a_tag(f"{instances}:{number}") for number in range(100)]
    report(f"one tag job at {instances} instances, ms", _milliseconds(master, tags))
    used = cluster.processor_seconds() - before
    report(f"one tag job at {instances} instances, processor ms", used * 10)


def measure_doors(cluster: Cluster, report: Report) -> None:
    def rate(name: str, path: str, count: int, *, clients: int = 1, stay: bool = True) -> None:
        per_second = requests(cluster.url + path, cluster.login, count, clients=clients, stay=stay)
        report(f"{name}, requests/s", per_second)

    for clients in (1, 16):
        rate(f"GET /version, {clients} clients", "/version", 2000, clients=clients)
        rate(f"GET /2/info, {clients} clients", "/2/info", 1000, clients=clients)
    rate("GET /version, new connections", "/version", 200, stay=False)
    report("LUXI, one client, calls/s", calls(cluster.socket, 3000))


def measure_lists(cluster: Cluster, report: Report) -> None:
    """Each bulk list in turn with a bare resource of as many bytes; the best of three turns."""
    Luxi(cluster.socket).run_all([a_network(number) for number in range(10)])
    with bare(cluster) as (limit, _):
        for kind in ("instances", "nodes", "jobs", "groups", "networks"):
            path = f"/2/{kind}?bulk=1"
            size = answer_size(cluster.url + path, cluster.login)
            for clients in (1, 16):
                names = [
                    f"{path}, {what}, {clients} clients, requests/s"
                    for what in (f"{size} bytes", "bare")
                ]
                urls = cluster.url + path, f"{limit}/bytes/{size}"
                turns = [
                    [requests(url, cluster.login, 200, clients=clients) for url in urls]
                    for _ in range(3)
                ]
                for name, rates in zip(names, zip(*turns, strict=True), strict=True):
                    report(name, max(rates))
                report.share(*names)


def measure_start(cluster: Cluster, report: Report, instances: int) -> None:
    found: dict[str, list[float]] = {"/version": [], "/2/info": [], "LUXI": []}
    for _ in range(5):
        cluster.end_daemons()
        begun = time.perf_counter()
        started = cluster.start_daemons()
        until(lambda: requests(f"{cluster.url}/version", cluster.login, 1))
        found["/version"].append(time.perf_counter() - begun)
        until(lambda: Luxi(cluster.socket)("QueryClusterInfo"))
        found["LUXI"].append(time.perf_counter() - begun)
        until(lambda: _answered(cluster))
        found["/2/info"].append(time.perf_counter() - begun)
        for process in started:
            process.wait()
        cluster.refresh()
    for name, seconds in found.items():
        report(f"start to {name} at {instances} instances, s", statistics.median(seconds))


def _answered(cluster: Cluster) -> None:
    try:
        requests(f"{cluster.url}/2/info", cluster.login, 1)
    except RuntimeError as e:  # 502 while the master starts
        raise ConnectionError(str(e)) from None


def measure_memory(cluster: Cluster, report: Report, when: str) -> None:
    resident, proportional = cluster.memory()
    report(f"daemons of the master {when}, RSS MiB", resident)
    report(f"daemons of the master {when}, PSS MiB", proportional)


@contextmanager
def bare(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """The address and the socket of the bare servers of ``loads``, until the block ends."""
    path = f"{cluster.folder}/echo"
    spawn = multiprocessing.get_context("spawn")
    server = spawn.Process(target=serve_bare, args=(cluster.pem, BARE_PORT, path))
    server.start()
    try:
        until(lambda: os.stat(path))
        yield f"https://127.0.0.1:{BARE_PORT}", path
    finally:
        server.terminate()
        server.join()
        Path(path).unlink(missing_ok=True)


def measure_limits(cluster: Cluster, report: Report) -> None:
    with bare(cluster) as (limit, path):
        url = f"{limit}/version"
        for clients in (1, 16):
            figure = requests(url, "", 2000, clients=clients)
            report(f"bare TLS resource, {clients} clients, requests/s", figure)
        figure = requests(url, "", 200, stay=False)
        report("bare TLS resource, new connections, requests/s", figure)
        report("bare echo of JSON, one client, calls/s", calls(path, 3000))
        report("bare fdatasync, records/s", syncs(cluster.folder))
    for clients in (1, 16):
        limit = f"bare TLS resource, {clients} clients, requests/s"
        report.share(f"GET /version, {clients} clients, requests/s", limit)
    limit = "bare TLS resource, new connections, requests/s"
    report.share("GET /version, new connections, requests/s", limit)
    report.share("LUXI, one client, calls/s", "bare echo of JSON, one client, calls/s")


def fill(cluster: Cluster, instances: int) -> None:
    """See that there are so many instances."""
    master = Luxi(cluster.socket)
    there = len(master("QueryInstances", [], ["name"], False))
    for start in range(there, instances, 200):
        some = range(start, min(start + 200, instances))
        master.run_all([an_instance(f"more{number}") for number in some])


@contextmanager
def running() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(dir=TREE) as folder:
        cluster = Cluster(folder)
        try:
            yield cluster
        finally:
            cluster.remove()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=1000)
    options.add_argument("--beside", type=Path, metavar="FILE")
    chosen = options.parse_args()
    others = json.loads(chosen.beside.read_text()) if chosen.beside else {}
    report = Report(others)
    with running() as cluster:
        measure_memory(cluster, report, "idle")
        measure_doors(cluster, report)
        measure_tags(cluster, report, 0)
        measure_jobs(cluster, report)
        measure_limits(cluster, report)
        fill(cluster, chosen.instances)
        measure_lists(cluster, report)
        measure_tags(cluster, report, chosen.instances)
        measure_memory(cluster, report, "after load")
        measure_start(cluster, report, chosen.instances)


if __name__ == "__main__":
    main()
