# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of one host, collected by its node daemon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from ganeti.metrics.family import MetricFamily, make_gauge, make_gauges
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.system.interfaces import IFiles

MIB = 1 << 20

Describe = Callable[[DescribeNode], Awaitable[NodeInfo]]


async def collect_host_families(
    describe: Describe, hypervisors: Sequence[str], files: IFiles
) -> list[MetricFamily]:
    """Return the metrics of this host, except storage: only the master knows the storage units."""
    facts = await describe(DescribeNode(hypervisors=tuple(hypervisors)))
    states = Counter("paused" if each.paused else "running" for each in facts.guests.values())
    return [
        make_gauge("ganeti_host_memory_total_bytes", "Total memory.", facts.memory_total * MIB),
        make_gauge("ganeti_host_memory_free_bytes", "Free memory.", facts.memory_free * MIB),
        make_gauge("ganeti_host_cpus", "Logical processors.", facts.cpus),
        make_gauge("ganeti_host_load", "Load average of the last minute.", _read_load(files)),
        make_gauges(
            "ganeti_host_guests",
            "Guests by state.",
            ("state",),
            [((state,), states[state]) for state in ("running", "paused")],
        ),
        make_gauge(
            "ganeti_host_guest_memory_bytes",
            "Memory of all guests.",
            sum(each.memory for each in facts.guests.values()) * MIB,
        ),
        make_gauge(
            "ganeti_host_guest_cpu_seconds",
            "Processor time used by the running guests.",
            sum(each.cpu_time for each in facts.guests.values()),
        ),
        make_gauges(
            "ganeti_host_problem",
            "1 if the hypervisor cannot list its guests.",
            ("part",),
            [((part,), 1) for part in facts.problems],
        ),
    ]


def _read_load(files: IFiles) -> float | None:
    try:
        return float(files.read("/proc/loadavg").split()[0])
    except (OSError, ValueError, IndexError):
        return None
