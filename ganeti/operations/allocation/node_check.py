# SPDX-License-Identifier: BSD-2-Clause
"""Whether a node can run a guest, asked before its present one is stopped or anything is made."""

from __future__ import annotations

from ganeti.errors import Failed, Invalid, Refused, Unreachable
from ganeti.model.guest import CheckScope, Guest
from ganeti.model.node import Node
from ganeti.operations.operation import Tools
from ganeti.rpc.node import ValidateHypervisor


def hypervisor_check(
    guest: Guest, scope: CheckScope = CheckScope.ALL, *, minimum_version: str = ""
) -> ValidateHypervisor:
    """Return the question whether a node can run the guest."""
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

    :raises Refused: it cannot; the message has every reason.
    """
    try:
        await tools.nodes.ask(node, hypervisor_check(guest, scope, minimum_version=minimum_version))
    except Unreachable:
        raise
    except (Failed, Refused, Invalid) as e:
        raise Refused(f"instance {guest.name} would not run: {e}") from e
