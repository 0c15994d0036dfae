# SPDX-License-Identifier: BSD-2-Clause
"""Metrics of one host, collected by its node daemon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from ganeti.metrics.family import MetricFamily, MetricType, Sample, make_gauge, make_gauges
from ganeti.model.guest import Counters
from ganeti.node.usage_rings import HOST, MAX_GUESTS
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.system.interfaces import IFiles

MIB = 1 << 20

USAGE = (
    ("cpu", "cpu_seconds", "Processor time that was used."),
    ("memory", "memory_used_bytes", "Memory that is not available to others."),
    ("disk_read", "disk_read_bytes", "Bytes that were read from disks."),
    ("disk_written", "disk_written_bytes", "Bytes that were written to disks."),
    ("received", "network_received_bytes", "Bytes that network cards have received."),
    ("sent", "network_sent_bytes", "Bytes that network cards have sent."),
)
"""The fields of ``Counters``, and the metrics that have their values."""

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


def collect_usage_families(
    node: str, counters: Mapping[str, Counters], *, guests: bool
) -> Iterator[MetricFamily]:
    """Yield what the host has used, and with ``guests`` what each of its guests has.

    The values are those of the usage in the last hours, for a Prometheus that keeps them for
    longer. Unlike all other metrics, those of guests have names of instances as labels.
    """
    of_host = {node: counters[HOST]} if HOST in counters else {}
    of_guests = {name: each for name, each in counters.items() if name != HOST}
    yield from _usage("host", "node", of_host)
    if guests:
        yield from _usage("guest", "guest", dict(list(of_guests.items())[:MAX_GUESTS]))


def _usage(kind: str, label: str, counters: Mapping[str, Counters]) -> Iterator[MetricFamily]:
    for field, metric, doc in USAGE:
        values = ((name, getattr(each, field)) for name, each in counters.items())
        yield MetricFamily(
            name=f"ganeti_{kind}_{metric}",
            kind=MetricType.GAUGE if field == "memory" else MetricType.COUNTER,
            doc=doc,
            labels=(label,),
            samples=tuple(
                Sample(labels=(name,), value=float(value))
                for name, value in values
                if value is not None
            ),
        )


def _read_load(files: IFiles) -> float | None:
    try:
        return float(files.read("/proc/loadavg").split()[0])
    except (OSError, ValueError, IndexError):
        return None
