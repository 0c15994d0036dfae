# SPDX-License-Identifier: BSD-2-Clause
"""Jobs that are submitted at a rate, whether or not earlier ones have been answered."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.bench_cluster import Cluster, a_delay, gone
from tests.bench.loads import FINAL, Luxi, until

CONNECTIONS = 8
"""How many requests may wait for the master at a time."""

BATCHES = 20
"""How many requests are sent in a second, each with a part of the jobs."""


@dataclass
class Usage:
    """The processor time of the daemons of a cluster, also of those that are killed meanwhile."""

    cluster: Cluster
    _spent: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, seconds in self._running().items():
            self._spent[name] = -seconds

    def before_kill(self, daemon: str) -> None:
        """Count what ``daemon`` has used, as it is killed next."""
        self._spent[daemon] += processor_seconds(self.cluster.here()[daemon])

    def seconds(self) -> dict[str, float]:
        """Return the processor time of each daemon since the beginning, in seconds."""
        return {name: self._spent[name] + now for name, now in self._running().items()}

    def _running(self) -> dict[str, float]:
        cluster = self.cluster
        nodes = sum(processor_seconds(pid) for key, pid in cluster.pids.items() if "NODED" in key)
        own = {name: processor_seconds(cluster.here()[name]) for name in ("rapi", "masterd")}
        return {**own, "noded": nodes}


@dataclass(frozen=True)
class Trouble:
    """A daemon that is killed when a share of the time is over, and started again."""

    daemon: str
    share: float

    def make(self, cluster: Cluster, usage: Usage | None) -> None:
        pid = cluster.here()[self.daemon]
        if usage is not None:
            usage.before_kill(self.daemon)
        os.kill(pid, signal.SIGKILL)
        until(lambda: gone(pid))
        cluster.start()


class _Connections:
    """Connections to a master, each of which waits for one answer at most."""

    def __init__(self, path: str) -> None:
        self._idle = [Luxi(path) for _ in range(CONNECTIONS)]
        self._busy: list[Luxi] = []
        self.jobs: list[int] = []
        """The jobs that the master has acknowledged."""

    def submit(self, count: int) -> bool:
        """Submit jobs if a connection is idle."""
        if not self._idle:
            return False
        each = self._idle.pop()
        each.send("SubmitManyJobs", [[a_delay()] for _ in range(count)])
        self._busy.append(each)
        return True

    def receive(self, timeout: float) -> None:
        """Take the answers that come within ``timeout``."""
        readable, _, _ = select.select(self._busy, [], [], timeout)
        for each in readable:
            self._busy.remove(each)
            self.jobs += [job for _, job in each.receive()]
            self._idle.append(each)

    def finish(self) -> None:
        """Wait for the answers that are missing."""
        while self._busy:
            self.receive(60)


@dataclass(frozen=True)
class Load:
    """The jobs that were submitted and have ended."""

    jobs: int
    seconds: float
    """From the first request to the end of the last job."""
    restarts: float
    """How many of these seconds daemons were restarted, in which nothing is submitted."""

    @property
    def rate(self) -> float:
        """Jobs per second, apart from restarts."""
        return self.jobs / (self.seconds - self.restarts)


def submit(
    cluster: Cluster,
    rate: float,
    seconds: float,
    meanwhile: Sequence[Trouble] = (),
    usage: Usage | None = None,
) -> Load:
    """Submit jobs at a rate, and wait until they have ended.

    Each trouble is made once, at its share of the time. What a master does not answer that is
    killed is not counted; the journal tells whether it exists.
    """
    begun, at, count, restarts = time.monotonic(), time.time(), 0, 0.0
    batch = max(1, int(rate / BATCHES))
    left = list(meanwhile)
    master = _Connections(cluster.socket)
    jobs = master.jobs
    while (now := time.monotonic() - begun - restarts) < seconds:
        if left and now > left[0].share * seconds:
            trouble = left.pop(0)
            master.receive(0)
            trouble.make(cluster, usage)
            if trouble.daemon == "masterd":
                until(lambda: _answering(cluster), 60)
                master = _Connections(cluster.socket)
                master.jobs = jobs
            restarts = time.monotonic() - begun - now
        elif count < now * rate and master.submit(batch):
            count += batch
        master.receive(max(0.0, min(count / rate - now, 0.01)))
    master.finish()
    return Load(len(jobs), _wait(Luxi(cluster.socket), jobs) - at, restarts)


def _wait(master: Luxi, jobs: Sequence[int]) -> float:
    """Return when the last of the jobs has ended, in seconds since the epoch."""
    # The last ones end last, or nearly so; a look at thousands costs the master some milliseconds.
    for some in (jobs[-100:], jobs):
        while True:
            rows: Any = master("QueryJobs", some, ["status", "end_ts"])
            if all(status in FINAL for status, _ in rows):
                break
            time.sleep(0.1)
    return float(max((whole + parts / 1e6 for _, (whole, parts) in rows), default=time.time()))


def _answering(cluster: Cluster) -> None:
    Luxi(cluster.socket)("QueryTags", "cluster", "")


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def machine_seconds() -> float:
    """Return the processor time that all processes of this host have used."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[float, float]:
    """Return the memory of a process in MiB, and the most that it ever had."""
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    now, most = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most
