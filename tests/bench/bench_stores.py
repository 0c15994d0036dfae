# SPDX-License-Identifier: BSD-2-Clause
"""How long a master takes to acknowledge a job, and how many it runs, by where its state is.

``python -m tests.bench.bench_stores [seconds]`` makes three clusters of real daemons on this host:
one with the state in files, one with files that two more candidates have copies of, and one with
three members of etcd that it runs itself. They are measured in turns. Beside them stand puts of
etcd itself, one after the other, to the members of the third cluster.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from twisted.internet.task import react

from ganeti.bootstrap.blocking_files import local_files
from ganeti.daemon.store.store_connection import connect_to_store
from ganeti.journal.etcd.interfaces import PutKey
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import QueryJobs, SubmitJob
from ganeti.opcodes.test import Delay
from tests.system.running import RunningCluster, eventually

ROUNDS = 3
AUTHORS = 8
PUT_SIZE = 2048
"""Bytes of a put: about those of the commit that accepts a job."""

KINDS = {
    "files": ("--nodes", "1"),
    "files, two copies": ("--nodes", "3"),
    "etcd, three members": ("--nodes", "3", "--state-store", "own-etcd"),
}
JOB = SubmitJob(ops=(Delay(duration=0.0),))


@dataclass
class Figure:
    """Latencies of acknowledgements in seconds, and the jobs that ended per second."""

    latencies: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{1000 * statistics.median(self.latencies):>8.1f} {1000 * max(self.latencies):>8.1f}"
            f" {statistics.median(self.rates) if self.rates else 0:>8.0f}"
        )


@contextmanager
def running(kind: str) -> Iterator[RunningCluster]:
    """Make a cluster that is gone afterwards."""
    cluster = RunningCluster(*KINDS[kind], name="b")
    try:
        path = cluster.cluster.master.paths.state_store
        if "etcd" in kind:

            def is_complete() -> bool:
                settings = read_settings(local_files(), path)
                return settings is not None and len(settings.endpoints) == 3

            eventually(is_complete)
        yield cluster
    finally:
        left = cluster.destroy()
        if left:
            print(f"left behind: {left}", file=sys.stderr)


def submit(client: LuxiClient, until: float, latencies: list[float]) -> list[int]:
    """Submit one job after the other; return their IDs."""
    jobs = []
    while (sent := time.perf_counter()) < until:
        jobs.append(client.ask(JOB))
        latencies.append(time.perf_counter() - sent)
    return jobs


def measure(cluster: RunningCluster, seconds: float, figure: Figure) -> None:
    """Measure one author alone, and then several at a time until their jobs have ended."""
    with cluster.client() as client:
        alone = submit(client, time.perf_counter() + seconds, figure.latencies)
        _wait(client, alone[-1])
        began = time.perf_counter()
        found: list[list[int]] = []

        def author() -> None:
            with cluster.client() as own:
                found.append(submit(own, began + seconds, []))

        threads = [Thread(target=author) for _ in range(AUTHORS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        jobs = [job for some in found for job in some]
        _wait(client, max(jobs))
        figure.rates.append(len(jobs) / (time.perf_counter() - began))


def _wait(client: LuxiClient, job: int) -> None:
    """Wait for the end of a job, and so for nearly all before it."""

    def has_ended() -> bool:
        [row] = client.ask(QueryJobs(ids=(job,), fields=("status",)))
        return row is not None and row[0] in ("success", "error")

    eventually(has_ended)


async def put(clock: Any, cluster: RunningCluster, seconds: float, figure: Figure) -> None:
    """Put values one after the other."""
    paths = cluster.cluster.master.paths
    settings = read_settings(local_files(), paths.state_store)
    assert settings is not None
    etcd = connect_to_store(
        clock, settings.endpoints, paths.store_authority, paths.store_certificate
    )
    until = time.perf_counter() + seconds
    while (sent := time.perf_counter()) < until:
        await etcd.txn([], [PutKey("/bare", bytes(PUT_SIZE))])
        figure.latencies.append(time.perf_counter() - sent)
    await etcd.close()


async def main(clock: Any, seconds: str = "60") -> None:
    """Measure all kinds in turns, and print a line for each."""
    share = float(seconds) / ROUNDS / (2 * len(KINDS) + 1)
    figures = {kind: Figure() for kind in KINDS}
    puts = Figure()
    with ExitStack() as stack:
        clusters = {kind: stack.enter_context(running(kind)) for kind in KINDS}
        for _ in range(ROUNDS):
            for kind, cluster in clusters.items():
                measure(cluster, share, figures[kind])
            await put(clock, clusters["etcd, three members"], share, puts)
    print(f"{'':<22} {'p50 ms':>8} {'max ms':>8} {'jobs/s':>8}")
    for kind, figure in figures.items():
        print(f"{kind:<22} {figure}")
    print(f"{'bare put of etcd':<22} {puts}")


if __name__ == "__main__":
    react(main, sys.argv[1:])
