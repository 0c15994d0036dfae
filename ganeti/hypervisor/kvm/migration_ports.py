# SPDX-License-Identifier: BSD-2-Clause
"""The TCP ports on which a QEMU awaits a guest, and the disks of a guest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.monitor import CommandFailed
from ganeti.model.parameters.kvm import Kvm

_PORTS = 32
"""How many ports from ``migration_port`` on are tried; a migration takes one, and another one if
disks are copied."""


async def listen_on_free_port(
    listen: Callable[[int], Awaitable[object]], kvm: Kvm, address: str
) -> str:
    """Call ``listen`` with ports until one is free; return address and port.

    :raises Failed: none is free.
    """
    for port in range(kvm.migration_port, kvm.migration_port + _PORTS):
        try:
            await listen(port)
        except CommandFailed as error:
            if "in use" not in str(error):
                raise
        else:
            return f"{bracket(address)}:{port}"
    last = kvm.migration_port + _PORTS - 1
    raise Failed(f"no free port from {kvm.migration_port} to {last} at {address}")


def bracket(address: str) -> str:
    """Return an address as it stands before a port: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def split_address(destination: str) -> tuple[str, str]:
    """Return the address and the port of a destination."""
    address, _, port = destination.rpartition(":")
    return address.strip("[]"), port
