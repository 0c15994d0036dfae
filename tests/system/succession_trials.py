# SPDX-License-Identifier: BSD-2-Clause
"""Takes the master from five live nodes whose state is in etcd, again and again, under load.

``python -m tests.system.succession_trials --trials 50`` kills all processes on the host of the
master at once, with the member of etcd if it has one; with ``--cut``, it cuts that host off
instead. It prints the time until the next job is acknowledged, and what was lost of all that was
acknowledged. Nobody asks for a failover.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.system.acknowledgements import Attempt, Clients, Ledger, look, lost, two_masters
from tests.system.partitions import PartitionedCluster, reason_to_skip
from tests.system.running import eventually, run

NODES = 5


@dataclass
class Figures:
    """The seconds from each failure to the next acknowledgement, and what was found at the end."""

    gaps: list[float] = field(default_factory=list)
    acknowledged: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = "\n".join(self.problems) or "nothing acknowledged is lost"
        return (
            f"{len(self.gaps)} trials; seconds to the next acknowledged job:"
            f" p50 {median(self.gaps):.1f}, max {max(self.gaps):.1f}\n"
            f"{self.acknowledged} jobs acknowledged: {found}"
        )


class Trials:
    """One cluster, and the trials on it."""

    def __init__(self, cluster: PartitionedCluster, *, cut: bool) -> None:
        self._cluster = cluster
        self._cut = cut
        self._ledger = Ledger()
        self._attempts: list[Attempt] = []
        self._figures = Figures()

    def run(self, count: int) -> Figures:
        """Do so many trials; return their figures."""
        self._cluster.master()
        with Clients(self._cluster, self._ledger, seed=1):
            for number in range(1, count + 1):
                self._run_one()
                print(f"trial {number}: {self._figures.gaps[-1]:.1f} s", flush=True)
        master = self._cluster.recover()
        found = look(self._cluster, master, self._ledger)
        self._figures.acknowledged = len(self._ledger.jobs)
        self._figures.problems += lost(self._ledger, found)
        self._figures.problems += two_masters(self._ledger, self._attempts)
        return self._figures

    def _run_one(self) -> None:
        master = self._wait_for_acknowledgement(time.monotonic())
        moment = time.monotonic()
        if self._cut:
            self._cluster.network.cut([master], set(self._cluster.numbers) - {master})
        else:
            # All that is in the process table of the host, but its first process.
            run(self._cluster.network.hosts[master].command(["sh", "-c", "kill -9 -1"]))
        new = self._wait_for_acknowledgement(moment, other_than=master)
        first = next(
            job.answered for job in self._ledger.jobs if job.sent > moment and job.node == new
        )
        self._figures.gaps.append(first - moment)
        self._attempts.append(Attempt(new, moment))
        self._repair(master)

    def _wait_for_acknowledgement(self, since: float, *, other_than: int = 0) -> int:
        """Return the node of a master that has acknowledged a job which was sent since then."""

        def find() -> int:
            nodes = (job.node for job in self._ledger.jobs[-50:] if job.sent > since)
            return next((node for node in nodes if node != other_than), 0)

        found: int = eventually(find)
        return found

    def _repair(self, number: int) -> None:
        self._cluster.network.heal()
        self._cluster.start_members()
        self._cluster.start(number, "noded")
        eventually(lambda: not self._cluster.runs(number, "masterd"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--cut", action="store_true", help="cut the host off, and kill nothing")
    parser.add_argument(
        "--own-members", action="store_true", help="have the cluster run the members of etcd"
    )
    chosen = parser.parse_args(arguments)
    if reason := reason_to_skip():
        print(reason)
        return 1
    cluster = PartitionedCluster(NODES, state="own-etcd" if chosen.own_members else "etcd")
    try:
        figures = Trials(cluster, cut=chosen.cut).run(chosen.trials)
    finally:
        cluster.destroy()
    print(figures)
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
