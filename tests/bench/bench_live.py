# SPDX-License-Identifier: BSD-2-Clause
"""What a cluster of real daemons on this host can do as its nodes become more.

``python -m tests.bench.bench_live [--nodes 3,10,20,40] [--instances N]`` makes a cluster of each
size with the quick start, prints figures with their ratio to those of the smallest size, and
removes it. The largest size is what the machine carries: each node is a process of its own, with
TLS to the master. Processor time is that of the master daemon.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.bench.bench_cluster import TREE, Cluster, an_instance, gone
from tests.bench.bench_scale import Figures
from tests.bench.loads import Luxi, until, waits

IDLE_SECONDS = 5.0


class LiveCluster(Cluster):
    """A running cluster of the quick start with some number of nodes."""

    called = "live"

    def __init__(self, folder: str, nodes: int) -> None:
        self._nodes = nodes
        super().__init__(folder)

    def _told(self, *command: str) -> str:
        more = ("--nodes", str(self._nodes)) if command == ("start",) else ()
        what = [*self._command, *more, *(() if more else command)]
        return subprocess.run(what, check=True, stdout=subprocess.PIPE, text=True).stdout

    def master_seconds(self) -> float:
        """The processor time of all threads of the master daemon."""
        threads = Path(f"/proc/{self.here()['masterd']}/task").iterdir()
        return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9

    def node_memory(self) -> float:
        """The median of the proportional memory of a node daemon, in MiB."""
        pids = [pid for name, pid in self.pids.items() if name.startswith("NODED_PID")]
        return statistics.median(map(_proportional, pids))


def _proportional(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure_idle(cluster: LiveCluster, report: Figures) -> None:
    before, begun = cluster.master_seconds(), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    used = (cluster.master_seconds() - before) / (time.perf_counter() - begun)
    report("idle master: processor share, percent", 100 * used)
    report("a node daemon: MiB", cluster.node_memory())
    report("the daemons of the master's node: MiB", cluster.memory()[1])


def measure_creations(cluster: LiveCluster, report: Figures, count: int) -> list[str]:
    """Create instances at once; their names."""
    master = Luxi(cluster.socket)
    master.run(an_instance("warm"))
    creations = [an_instance(f"live{number}") for number in range(count)]
    before = cluster.master_seconds()
    seconds = master.run_all(creations)
    report("creations with a start, together: per second", count / seconds)
    report("the same: processor ms each", 1000 * (cluster.master_seconds() - before) / count)
    return [str(each["instance_name"]) for each in creations]


def measure_load(cluster: LiveCluster, report: Figures, names: Sequence[str]) -> None:
    """One client of the remote API while others stop and start guests as fast as they can."""
    url = f"{cluster.url}/2/instances/{names[0]}"
    quiet = sorted(waits(url, cluster.login, 300))
    report("GET of one instance: p99 ms", 1000 * quiet[-3])
    with _starts_and_stops(cluster, names) as ended:
        before, begun, used = ended[0], time.perf_counter(), cluster.master_seconds()
        loaded = sorted(waits(url, cluster.login, 300))
        spent = time.perf_counter() - begun
        jobs = ended[0] - before
        used = cluster.master_seconds() - used
    report("starts and stops meanwhile: per second", jobs / spent)
    report("GET of one instance meanwhile: p99 ms", 1000 * loaded[-3])
    report("processor share of the master meanwhile, percent", 100 * used / spent)


@contextmanager
def _starts_and_stops(cluster: LiveCluster, names: Sequence[str]) -> Iterator[list[int]]:
    ended, over = [0], threading.Event()

    def work() -> None:
        master = Luxi(cluster.socket)
        while not over.is_set():
            for opcode in ("OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_STARTUP"):
                master.run_all([{"OP_ID": opcode, "instance_name": name} for name in names])
                ended[0] += len(names)
                master("AutoArchiveJobs", 0, 10)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        time.sleep(2)
        yield ended
    finally:
        over.set()
        thread.join()


def measure_reports(cluster: LiveCluster, report: Figures, names: Sequence[str]) -> None:
    """A guest ends while its node daemon is down; the master shows it after the next start."""
    master = Luxi(cluster.socket)
    rows = master("QueryInstances", list(names), ["name", "pnode"], False)
    there = {node: name for name, node in rows if node != cluster.name}
    pid, environment = next(
        (pid, environment)
        for pid in (pid for name, pid in cluster.pids.items() if name.startswith("NODED_PID"))
        if (environment := _environment(pid))["GANETI_HOSTNAME"] in there
    )
    guest = there[environment["GANETI_HOSTNAME"]]
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))
    [record] = [
        each
        for each in Path(environment["GANETI_ROOTDIR"]).rglob("fake-hypervisor/*")
        if unquote(each.name) == guest
    ]
    record.unlink()
    begun = time.perf_counter()
    command = [sys.executable, "-m", "ganeti.daemon.noded"]
    subprocess.run(command, env={**environment, "PYTHONPATH": str(TREE)}, check=True)
    report("start of a node daemon: s", time.perf_counter() - begun)
    until(lambda: _has_ended(master, guest), 60)
    report("start of a node daemon until its report: s", time.perf_counter() - begun)
    cluster.refresh()


def _environment(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(entry.split("=", 1) for entry in entries)


def _has_ended(master: Luxi, name: str) -> None:
    if master("QueryInstances", [name], ["oper_state"], False) != [[False]]:
        time.sleep(0.02)
        raise ConnectionError("it is shown as running, or as unknown")


def measure_verify(cluster: LiveCluster, report: Figures) -> None:
    before, begun = cluster.master_seconds(), time.perf_counter()
    master = Luxi(cluster.socket)
    opcode: dict[str, Any] = {"OP_ID": "OP_CLUSTER_VERIFY"}
    master.run(opcode)
    until(lambda: _idle(master), 120)
    report("cluster verify: s", time.perf_counter() - begun)
    report("the same: processor s", cluster.master_seconds() - before)


def _idle(master: Luxi) -> None:
    rows = master("QueryJobs", [], ["status"])
    if any(status not in ("success", "error", "canceled") for (status,) in rows):
        time.sleep(0.1)
        raise ConnectionError("jobs are running")


def measure(nodes: int, instances: int, report: Figures) -> None:
    """Print the figures of one size."""
    print(f"\n{nodes} node daemons")
    with tempfile.TemporaryDirectory(dir=TREE) as folder:
        begun = time.perf_counter()
        cluster = LiveCluster(folder, nodes)
        try:
            report("first start of the cluster: s", time.perf_counter() - begun)
            measure_idle(cluster, report)
            names = measure_creations(cluster, report, instances)
            measure_load(cluster, report, names)
            measure_reports(cluster, report, names)
            measure_verify(cluster, report)
        finally:
            cluster.remove()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    sizes = lambda text: [int(each) for each in text.split(",")]  # noqa: E731
    options.add_argument("--nodes", type=sizes, default=[3, 10, 20, 40])
    options.add_argument("--instances", type=int, default=100)
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    print(f"{os.cpu_count()} processors, {free} MiB of free memory")
    report = Figures()
    for nodes in chosen.nodes:
        measure(nodes, chosen.instances, report)


if __name__ == "__main__":
    main()
