# SPDX-License-Identifier: BSD-2-Clause
"""The ports of a node that QEMU's user networking forwards to a guest."""

from __future__ import annotations

import re

from ganeti.hypervisor.kvm.monitor import Monitor
from ganeti.model.guest import Guest
from ganeti.model.parameters.kvm import Kvm

_FORWARD = re.compile(r"^ *TCP\[HOST_FORWARD\] +\d+ +(\S+) +(\d+) +\S+ +(\d+) ", re.MULTILINE)
"""A line of ``info usernet``: state, descriptor, address and port of the host, those of the guest,
and the lengths of two queues."""


def has_forwards(guest: Guest, kvm: Kvm) -> bool:
    """Return whether ports are forwarded to a guest: those of its first network card."""
    return kvm.kvm_net == "user" and bool(kvm.kvm_forward_ports) and bool(guest.nics)


async def read_forwards(qemu: Monitor) -> tuple[str, ...]:
    """Return which addresses of the node are forwarded to which ports of the guest.

    No command of QMP has them.
    """
    text = await qemu.execute("human-monitor-command", command_line="info usernet")
    return parse_forwards(str(text))


def parse_forwards(text: str) -> tuple[str, ...]:
    """Parse what ``info usernet`` prints, sorted by the port of the guest."""
    found = sorted(_FORWARD.findall(text), key=lambda each: int(each[2]))
    return tuple(f"{address}:{port} to port {inside}" for address, port, inside in found)
