# SPDX-License-Identifier: BSD-2-Clause
"""Check that a node can run a guest, made before a guest is stopped or disks are created."""

from __future__ import annotations

from ganeti.errors import Failed, Invalid, Refused, Unreachable
from ganeti.model.disk import FOREIGN_TEMPLATES
from ganeti.model.guest import CheckScope, Guest
from ganeti.model.node import Node
from ganeti.model.processor_masks import require_mask_for_each
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


def check_processor_masks(guest: Guest) -> None:
    """Check that a KVM guest has as many masks as virtual processors, if each has its own.

    :raises Refused: it has more or less.
    """
    if guest.hypervisor == "kvm":
        require_mask_for_each(str(guest.hvparams.get("cpu_mask", "")), guest.vcpus, guest.name)


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
    # A guest that runs may have other processors than those that wait for its next start.
    if scope is CheckScope.ALL:
        check_processor_masks(guest)
    try:
        await tools.nodes.ask(node, hypervisor_check(guest, scope, minimum_version=minimum_version))
        for disk in guest.disks:
            if disk.dev_type in FOREIGN_TEMPLATES:
                await tools.nodes.ask(node, CheckDiskParameters(disk=disk))
    except Unreachable:
        raise
    except (Failed, Refused, Invalid) as e:
        raise Refused(f"instance {guest.name} cannot run: {e}") from e
