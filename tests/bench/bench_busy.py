# SPDX-License-Identifier: BSD-2-Clause
"""How long clients of the remote API wait for answers while 200 jobs are under way.

``python -m tests.bench.bench_busy [--instances N] [--requests N]`` makes a cluster with the quick
start, prints what one client waits in the quiet and then under each load, and removes the cluster.
What counts is how many times longer than in the quiet of the same run.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Any

from tests.bench.bench_cluster import Cluster, fill, running
from tests.bench.loads import FINAL, Luxi, waits

UNDER_WAY = 200
"""So many jobs there are all the time."""


@dataclass(frozen=True)
class Waits:
    """What one client waited, in milliseconds."""

    half: float
    most: float
    nearly_all: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Waits:
        ordered = sorted(each * 1000 for each in seconds)
        return cls(*(ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.95, 0.99, 1)))


def a_pause(_: int, __: Sequence[str]) -> dict[str, Any]:
    return {"OP_ID": "OP_TEST_DELAY", "duration": 1, "on_master": True, "on_nodes": []}


def a_change(number: int, names: Sequence[str]) -> dict[str, Any]:
    """All instances are stopped, then started, then get a tag, and so on."""
    turn, which = divmod(number, len(names))
    name = names[which]
    return (
        {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": name},
        {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": name},
        {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": name, "tags": [f"busy{turn}"]},
    )[turn % 3]


LOADS: dict[str, Callable[[int, Sequence[str]], dict[str, Any]]] = {
    "jobs that pause for a second": a_pause,
    "starts, stops and tags": a_change,
}


def keep_busy(path: str, load: str, ended: Synchronized[int]) -> None:
    """See that there are always so many jobs of a load, and count those that ended; never ends."""
    make, master = LOADS[load], Luxi(path)
    names = _names(master)
    numbers = itertools.count()
    jobs: list[int] = []
    while True:
        opcodes = [[make(next(numbers), names)] for _ in range(UNDER_WAY - len(jobs))]
        jobs += [number for _, number in master("SubmitManyJobs", opcodes)]
        time.sleep(0.05)
        rows = master("QueryJobs", jobs, ["id", "status"])
        if bad := [row for row in rows if row[1] in FINAL - {"success"}]:
            raise RuntimeError(f"{len(bad)} jobs failed, such as {bad[0]}")
        jobs = [number for number, status in rows if status not in FINAL]
        ended.value += len(rows) - len(jobs)


@contextmanager
def busy(cluster: Cluster, load: str) -> Iterator[Synchronized[int]]:
    """Have a load, from when its jobs are under way until the block ends and they have ended."""
    spawn = multiprocessing.get_context("spawn")
    ended: Synchronized[int] = spawn.Value("i", 0)
    process = spawn.Process(target=keep_busy, args=(cluster.socket, load, ended))
    process.start()
    try:
        while not ended.value and process.is_alive():
            time.sleep(0.1)
        yield ended
        if not process.is_alive():
            raise RuntimeError(f"the load has ended: {load}")
    finally:
        process.terminate()
        process.join()
        _idle(cluster)


def _idle(cluster: Cluster) -> None:
    master = Luxi(cluster.socket)
    while any(status not in FINAL for (status,) in master("QueryJobs", [], ["status"])):
        time.sleep(0.1)


def _names(master: Luxi) -> list[str]:
    """Of 150 instances."""
    names = [name for (name,) in master("QueryInstances", [], ["name"], False)]
    return names[:150]


def paths(cluster: Cluster) -> tuple[str, ...]:
    """Cheap questions, and the list of instances."""
    master = Luxi(cluster.socket)
    job = max(number for (number,) in master("QueryJobs", [], ["id"]))
    cheap = "/version", "/2/info", f"/2/instances/{_names(master)[0]}", f"/2/jobs/{job}"
    return (*cheap, "/2/instances?bulk=1")


def measure(cluster: Cluster, asked: Sequence[str], count: int) -> dict[str, Waits]:
    return {path: Waits.of(waits(cluster.url + path, cluster.login, count)) for path in asked}


def show(title: str, found: dict[str, Waits], quiet: dict[str, Waits]) -> None:
    print(f"\n{title:<40} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8} ms {'p99 to quiet':>14}")
    for path, waited in found.items():
        figures = waited.half, waited.most, waited.nearly_all, waited.longest
        times = waited.nearly_all / quiet[path].nearly_all
        print(f"{path:<40} " + " ".join(f"{each:8.2f}" for each in figures) + f" {times:17.1f}")


def compare(cluster: Cluster, count: int) -> None:
    """Print what a client waits in the quiet and under each load."""
    # All of them at once, and not twenty that hold the others back.
    opcode = {"OP_ID": "OP_CLUSTER_SET_PARAMS", "max_running_jobs": UNDER_WAY}
    Luxi(cluster.socket).run(opcode)
    asked = paths(cluster)
    quiet = measure(cluster, asked, count)
    show("in the quiet", quiet, quiet)
    for load in LOADS:
        with busy(cluster, load) as ended:
            before, begun = ended.value, time.perf_counter()
            found = measure(cluster, asked, count)
            rate = (ended.value - before) / (time.perf_counter() - begun)
        show(f"{load}, {rate:.0f}/s", found, quiet)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=1000)
    options.add_argument("--requests", type=int, default=1000, help="of each kind")
    chosen = options.parse_args()
    with running() as cluster:
        fill(cluster, chosen.instances)
        compare(cluster, chosen.requests)


if __name__ == "__main__":
    main()
