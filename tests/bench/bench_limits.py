# SPDX-License-Identifier: BSD-2-Clause
"""What crowds and sluggish clients cost the remote API, and what others wait meanwhile.

``python -m tests.bench.bench_limits [--instances N]`` makes a cluster with the quick start, brings
one crowd after the other, and removes the cluster. For each it prints what one well-behaved client
waits, how many of the crowd are still connected, and the memory and the open files of the API and
of the master; then the same when the crowd has gone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench.bench_busy import Waits
from tests.bench.bench_cluster import Cluster, fill, running
from tests.bench.loads import Client, Luxi, waits

TIMEOUT = 120.0
"""Seconds that the daemons have to let go of a crowd."""

LOOKS = 25
"""Seconds that a crowd which rests is looked at: the server's patience and some more."""


class NodeEndpoint:
    """The remote API as a crowd meets it."""

    def __init__(self, cluster: Cluster) -> None:
        place = urlsplit(cluster.url)
        self._at = place.hostname or "", place.port or 443
        self._login = cluster.login
        self.watched = _a_long_job(cluster)

    def client(self, *, buffer: int | None = None) -> Client:
        return Client(*self._at, buffer=buffer)

    def head(self, method: str, path: str, length: int | None = None) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Basic {self._login}"]
        if length is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return "\r\n".join((*lines, "", "")).encode()

    def wait(self) -> bytes:
        """A request that is answered when a job changes, which is not soon."""
        body = b'{"fields": ["status"], "previous_job_info": ["running"]}'
        return self.head("GET", f"/2/jobs/{self.watched}/wait", len(body)) + body


def _a_long_job(cluster: Cluster) -> int:
    master = Luxi(cluster.socket)
    opcode = {"OP_ID": "OP_TEST_DELAY", "duration": 3600, "on_master": True, "on_nodes": []}
    job = int(master("SubmitJob", [opcode]))
    while master("QueryJobs", [job], ["status"]) != [["running"]]:
        time.sleep(0.01)
    return job


def resting(door: NodeEndpoint) -> Iterator[Client]:
    """Clients that have asked once, and keep the connection."""
    for _ in range(5000):
        client = door.client()
        client.ask(door.head("GET", "/version"))
        yield client


def slow_readers(door: NodeEndpoint) -> Iterator[Client]:
    """Clients that ask for all instances and do not read the answer."""
    for _ in range(500):
        client = door.client(buffer=4096)
        client.send(door.head("GET", "/2/instances?bulk=1"))
        yield client


def slow_heads(door: NodeEndpoint) -> Iterator[Client]:
    """Clients that begin with a request and do not get on with it."""
    for _ in range(500):
        client = door.client()
        client.send(b"GET /version HTTP/1.1\r\nHost: ")
        yield client


def slow_bodies(door: NodeEndpoint) -> Iterator[Client]:
    """Clients that announce a body of a MiB and send the half."""
    for _ in range(500):
        client = door.client()
        # Some are told that there are too many of them before they are through with it.
        with suppress(OSError):
            client.send(door.head("POST", "/2/instances", 1 << 20) + b" " * (1 << 19))
        yield client


def waiting(door: NodeEndpoint) -> Iterator[Client]:
    """Clients that wait for a job to change."""
    for _ in range(1500):
        client = door.client()
        client.send(door.wait())
        yield client


def aborting(door: NodeEndpoint) -> Iterator[Client]:
    """Clients that ask for much, or wait for a job, and reset the connection."""
    for number in range(2000):
        client = door.client()
        client.send(door.wait() if number % 2 else door.head("GET", "/2/instances?bulk=1"))
        client.abort()
        yield client


CROWDS: dict[str, Callable[[NodeEndpoint], Iterator[Client]]] = {
    "2000 who abort": aborting,
    "500 slow heads": slow_heads,
    "500 slow bodies": slow_bodies,
    "500 slow readers": slow_readers,
    "1500 who wait": waiting,
    "5000 who rest": resting,
}


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> float:
    """In MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def behave(url: str, login: str, over: Event, found: Any) -> None:
    """Ask politely, one thing after the other, until it is over; answer with what that took."""
    seconds: list[float] = []
    while not over.is_set():
        seconds += waits(f"{url}/2/info", login, 20)
        time.sleep(0.05)
    found.put(seconds)


@contextmanager
def beside(cluster: Cluster) -> Iterator[list[float]]:
    """What a client waits who behaves, until the block ends; complete when it has ended."""
    spawn = multiprocessing.get_context("spawn")
    over, found = spawn.Event(), spawn.Queue()
    process = spawn.Process(target=behave, args=(cluster.url, cluster.login, over, found))
    seconds: list[float] = []
    process.start()
    try:
        yield seconds
        over.set()
        seconds += found.get(timeout=TIMEOUT)
    finally:
        over.set()
        process.join(TIMEOUT)


class Daemons:
    """The daemons that a crowd could harm, and how they were before."""

    def __init__(self, cluster: Cluster) -> None:
        self._pids = {name: cluster.here()[name] for name in ("rapi", "masterd")}
        self._files = self.files()

    def files(self) -> dict[str, int]:
        return {name: open_files(pid) for name, pid in self._pids.items()}

    def memory(self) -> dict[str, float]:
        return {name: resident(pid) for name, pid in self._pids.items()}

    def settled(self) -> bool:
        """Whether they have let go of what they had opened, but for a few lines to the master."""
        return all(self.files()[name] <= self._files[name] + 20 for name in self._pids)


def show(what: str, daemons: Daemons, count: str, seconds: Sequence[float]) -> None:
    files, memory = daemons.files(), daemons.memory()
    waited = Waits.of(seconds) if seconds else None
    times = f"{waited.half:8.2f} {waited.nearly_all:8.2f} {waited.longest:8.2f}" if waited else ""
    print(
        f"{what:<22} {count:>11} {times:>26} {memory['rapi']:7.0f} {memory['masterd']:7.0f}"
        f" {files['rapi']:7} {files['masterd']:7}",
        flush=True,
    )


def meet(cluster: Cluster, daemons: Daemons, door: NodeEndpoint, name: str) -> None:
    """Bring a crowd, look at it while it rests, and send it away."""
    crowd: list[Client] = []
    with beside(cluster) as seconds:
        begun = time.monotonic()
        for client in CROWDS[name](door):
            crowd.append(client)
        show(f"{name}, came", daemons, f"{time.monotonic() - begun:.1f} s", ())
        time.sleep(LOOKS)
    if name.endswith("abort"):
        crowd.clear()
    there = sum(client.quiet() for client in crowd)
    show(f"{name}, later", daemons, f"{there} there", seconds)
    for client in crowd:
        client.close()
    begun = time.monotonic()
    while not daemons.settled() and time.monotonic() < begun + TIMEOUT:
        time.sleep(0.1)
    show("  gone", daemons, f"{time.monotonic() - begun:.1f} s", ())


def compare(cluster: Cluster, names: Sequence[str]) -> None:
    door, daemons = NodeEndpoint(cluster), Daemons(cluster)
    print(f"{'':<34} {'p50':>8} {'p99':>8} {'max':>8} ms {'rapi':>4} {'masterd':>7} MiB  files")
    with beside(cluster) as seconds:
        time.sleep(5)
    show("nobody", daemons, "", seconds)
    for name in names:
        meet(cluster, daemons, door, name)
    log = Path(f"{cluster.root}/var/log/ganeti/rapi-daemon.log").read_text().splitlines()
    print(f"{len(log)} lines in the log of the API")
    Luxi(cluster.socket)("CancelJob", door.watched)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--instances", type=int, default=1000)
    chosen = options.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < 6000:
        sys.exit("this needs 6000 open files; see ulimit -n")
    with running() as cluster:
        fill(cluster, chosen.instances)
        compare(cluster, list(CROWDS))


if __name__ == "__main__":
    main()
