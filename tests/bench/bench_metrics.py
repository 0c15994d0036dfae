# SPDX-License-Identifier: BSD-2-Clause
"""What a scrape of ``/metrics`` costs with many instances, beside one look at each of them.

``python -m tests.bench.bench_metrics [INSTANCES]`` makes a state in memory, and prints the time
that the master and the remote API need for one answer, and their share of the time in which nothing
but the name of every instance is read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from msgspec.structs import replace as changed
from twisted.internet.defer import Deferred

from ganeti.config.state import ClusterState, make_state
from ganeti.master.master_metrics import MasterMetrics
from ganeti.metrics.exposition import format_text
from ganeti.metrics.family import MetricFamily
from ganeti.model.guest import GuestState
from ganeti.model.instance import AdminState
from ganeti.rpc.node import NodeInfo
from ganeti.testing.builders import a_cluster, a_node, an_instance
from ganeti.testing.cluster import SimulatedCluster
from tests.master.test_node_status_cache import FACTS

NODES = 100
RUNS = 20


class SaidByNodes:
    """What all nodes have said: that every instance runs."""

    def __init__(self, state: ClusterState) -> None:
        self._facts = {
            node.uuid: changed(
                FACTS,
                guests={
                    each.name: GuestState(name=each.name, memory=1, vcpus=1)
                    for each in state.list_primary_instances(node)
                },
            )
            for node in state.nodes.values()
        }

    def facts(self, uuid: str) -> NodeInfo | None:
        return self._facts.get(uuid)

    def age(self, uuid: str) -> float:
        return 1.0


def a_large_state(instances: int) -> ClusterState:
    """A cluster whose instances are all wanted to run."""
    base = a_cluster(nodes=[a_node(f"node{n}") for n in range(1, NODES + 1)])
    records: list[Any] = [each for same in base.objects.values() for each in same.values()]
    for number in range(instances):
        node = f"node{number % NODES + 1}"
        machine = an_instance(f"web{number}", node=node, admin_state=AdminState.UP, nics=())
        records.append(machine.instance)
    return make_state(records, serial_no=1, ctime=0.0, mtime=0.0)


def milliseconds(work: Callable[[], object]) -> float:
    """The time of the quickest of some runs."""
    best = 1e9
    for _ in range(RUNS):
        begun = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begun)
    return 1000 * best


def main() -> None:
    instances = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    state = a_large_state(instances)
    live: Any = SaidByNodes(state)
    cluster = SimulatedCluster(1)
    metrics = MasterMetrics(
        replace(cluster.master.metrics._sources, state=lambda: state, live=live)
    )

    def asked() -> bytes:
        answer = Deferred.fromCoroutine(metrics.collect_families())
        return msgspec.json.encode(answer.result)

    encoded = asked()
    families = msgspec.json.decode(encoded, type=list[MetricFamily])

    def look() -> int:
        return sum(len(each.name) for each in state.instances.values())

    bare = milliseconds(look)
    master = milliseconds(asked)
    api = milliseconds(lambda: format_text(msgspec.json.decode(encoded, type=list[MetricFamily])))
    print(f"{instances} instances on {NODES} nodes, {len(format_text(families)) / 1024:.0f} KiB:")
    print(f"  master {master:.1f} ms, remote API {api:.1f} ms; a look at each name {bare:.1f} ms")
    print(f"  share: master {master / bare:.1f}, remote API {api / bare:.1f}")


if __name__ == "__main__":
    main()
