# SPDX-License-Identifier: BSD-2-Clause
"""The numbers of one host, as its node daemon knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from ganeti.metrics.family import MetricFamily, gauge, gauges
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.system.interfaces import IFiles

MIB = 1 << 20

Describe = Callable[[DescribeNode], Awaitable[NodeInfo]]


async def host_families(
    describe: Describe, hypervisors: Sequence[str], files: IFiles
) -> list[MetricFamily]:
    """Return the numbers of this host; the storage units of the cluster are known to the master."""
    facts = await describe(DescribeNode(hypervisors=tuple(hypervisors)))
    states = Counter("paused" if each.paused else "running" for each in facts.guests.values())
    return [
        gauge("ganeti_host_memory_total_bytes", "Memory.", facts.memory_total * MIB),
        gauge("ganeti_host_memory_free_bytes", "Free memory.", facts.memory_free * MIB),
        gauge("ganeti_host_cpus", "Logical processors.", facts.cpus),
        gauge("ganeti_host_load", "The load average of the last minute.", _load(files)),
        gauges(
            "ganeti_host_guests",
            "Guests by what they do.",
            ("state",),
            [((state,), states[state]) for state in ("running", "paused")],
        ),
        gauge(
            "ganeti_host_guest_memory_bytes",
            "Memory of all guests.",
            sum(each.memory for each in facts.guests.values()) * MIB,
        ),
        gauge(
            "ganeti_host_guest_cpu_seconds",
            "Processor time that the guests that run now have used.",
            sum(each.cpu_time for each in facts.guests.values()),
        ),
        gauges(
            "ganeti_host_problem",
            "1 for a hypervisor that cannot say what runs.",
            ("part",),
            [((part,), 1) for part in facts.problems],
        ),
    ]


def _load(files: IFiles) -> float | None:
    try:
        return float(files.read("/proc/loadavg").split()[0])
    except (OSError, ValueError, IndexError):
        return None
