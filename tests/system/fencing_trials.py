# SPDX-License-Identifier: BSD-2-Clause
"""Loses nodes with guests, again and again, and measures until the guests run elsewhere.

``python -m tests.system.fencing_trials --trials 30`` cuts off, kills or freezes a node with guests
of a cluster of five live nodes. It prints the time until all of its guests run on other nodes,
detection included, and which guests ran twice at any instant, as seen from outside.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from ganeti.model.failover import FailoverPolicy
from ganeti.opcodes.failover import ModifyFailover, SetFailoverPolicy
from tests.system.acknowledgements import a_shared_instance
from tests.system.losses import LostNodes
from tests.system.observer import GuestObserver
from tests.system.partitions import PartitionedCluster, reason_to_skip

NODES, GUESTS, SEED = 5, 4, 1


def prepare(cluster: PartitionedCluster) -> list[str]:
    """Create guests that are to fail over, all on one node; return their names."""
    master = cluster.master()
    home = next(number for number in cluster.numbers if number != master)
    names = [f"guest{number}.cut" for number in range(GUESTS)]
    cluster.perform(master, *(a_shared_instance(name, cluster.name(home)) for name in names))
    policies = (SetFailoverPolicy(instance_name=n, policy=FailoverPolicy.FAILOVER) for n in names)
    cluster.perform(master, *policies, ModifyFailover(max_nodes=1000))
    return names


def lose_in_each_way(losses: LostNodes, names: Sequence[str]) -> list[float]:
    """Lose a node with guests once in each way; return the seconds of each."""
    return [lose(losses, names, how, max(losses.homes(names).values())) for how in losses.ways]


def lose(losses: LostNodes, names: Sequence[str], how: Callable[[int], None], home: int) -> float:
    """Lose a node; return the seconds until all of its guests run elsewhere."""
    lost = [name for name, where in losses.homes(names).items() if where == home]
    losses.wait_for_guard(home)
    began = time.monotonic()
    how(home)
    losses.wait_for_move(lost, home)
    taken = time.monotonic() - began
    losses.bring_back(home)
    return taken


def run(cluster: PartitionedCluster, trials: int, seed: int) -> list[float]:
    """Do so many trials; return the seconds of each."""
    names, losses, chance = prepare(cluster), LostNodes(cluster), random.Random(seed)
    master, taken = cluster.master(), []
    for number in range(1, trials + 1):
        homes = sorted(set(losses.homes(names).values()) - {master})
        how = chance.choice(losses.ways)
        taken.append(lose(losses, names, how, chance.choice(homes)))
        print(f"trial {number}: {how.__name__} {taken[-1]:.1f} s", flush=True)
    return taken


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.system.fencing_trials", description=__doc__
    )
    options.add_argument("--trials", type=int, default=30)
    options.add_argument("--seed", type=int, default=SEED)
    chosen = options.parse_args()
    if reason := reason_to_skip():
        print(reason, file=sys.stderr)
        return 1
    cluster = PartitionedCluster(NODES)
    try:
        with GuestObserver(cluster.guest_folders()) as observer:
            taken = run(cluster, chosen.trials, chosen.seed)
        print(
            f"{len(taken)} trials; seconds until all guests ran elsewhere: p50 {median(taken):.1f},"
            f" max {max(taken):.1f}; guests that ran twice: {len(observer.twice)} in"
            f" {observer.samples} looks"
        )
        for each in observer.twice:
            print(each)
        return bool(observer.twice)
    finally:
        cluster.destroy()


if __name__ == "__main__":
    sys.exit(main())
