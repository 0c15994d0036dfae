# SPDX-License-Identifier: BSD-2-Clause
"""Check that a node can run a guest, made before a guest is stopped or disks are created."""

from __future__ import annotations

from ganeti.errors import Failed, Invalid, Refused, Unreachable
from ganeti.model.disk import FOREIGN_TEMPLATES
from ganeti.model.guest import CheckScope, Guest
from ganeti.model.node import Node
from ganeti.operations.operation import Tools
from ganeti.rpc.disks import CheckDiskParameters
from ganeti.rpc.node import ValidateHypervisor


def hypervisor_check(
    guest: Guest, scope: CheckScope = CheckScope.ALL, *, minimum_version: str = ""
) -> ValidateHypervisor:
    """Return the call that checks whether a node can run the guest."""
    return ValidateHypervisor(
        hypervisor=guest.hypervisor,
        hvparams=guest.hvparams,
        nics=guest.nics,
        disks=len(guest.disks),
        scope=scope,
        minimum_version=minimum_version,
    )


async def require_able(
    node: Node,
    guest: Guest,
    tools: Tools,
    *,
    scope: CheckScope = CheckScope.ALL,
    minimum_version: str = "",
) -> None:
    """Check that a node can run a guest, by a program not older than ``minimum_version``.

    Disks on storage of other systems must be usable there.

    :raises Refused: it cannot; the message has all reasons.
    """
    try:
        await tools.nodes.ask(node, hypervisor_check(guest, scope, minimum_version=minimum_version))
        for disk in guest.disks:
            if disk.dev_type in FOREIGN_TEMPLATES:
                await tools.nodes.ask(node, CheckDiskParameters(disk=disk))
    except Unreachable:
        raise
    except (Failed, Refused, Invalid) as e:
        raise Refused(f"instance {guest.name} cannot run: {e}") from e
