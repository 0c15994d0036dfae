# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the memory of a running guest, between its minimum and maximum."""

from __future__ import annotations

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.instance import Instance
from ganeti.model.parameters.filling import backend_of
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import BalloonMemory
from ganeti.rpc.node import NodeInfo


def check_memory_change(
    changed: Instance, memory: int, state: ClusterState, node: NodeInfo | None, *, force: bool
) -> None:
    """Check that a guest can have ``memory`` MiB while it runs.

    ``changed`` is its instance with all other changes of the request. ``node`` describes its node,
    and is None if that is offline. With ``force``, the limits may be exceeded.

    :raises Refused: it cannot.
    """
    name = changed.name
    guest = None if node is None else node.guests.get(name)
    if node is None or guest is None:
        raise Refused(
            f"instance {name} is not running; to change its memory at its next start:"
            f" gnt-instance modify -B maxmem={memory} {name}",
            Code.STATE,
        )
    if force:
        return
    limits = backend_of(state.cluster, changed)
    if not limits.minmem <= memory <= limits.maxmem:
        raise Refused(
            f"the memory of instance {name} must be from {limits.minmem} to {limits.maxmem} MiB,"
            f" not {memory} MiB; change minmem or maxmem (gnt-instance modify -B), or use --force",
            Code.INPUT,
        )
    if memory - guest.memory > node.memory_free:
        raise Refused(
            f"instance {name} has {guest.memory} MiB of memory, and its node has only"
            f" {node.memory_free} MiB more, which are too few for {memory} MiB; stop or move"
            " another instance, or use --force",
            Code.RESOURCES,
        )


async def change_memory(subject: InstanceContext, memory: int, tools: Tools) -> None:
    """Change the memory of the running guest to ``memory`` MiB, and wait until it has.

    :raises Refused: its hypervisor cannot.
    :raises Failed: the guest does not do it.
    """
    state = tools.config.state()
    guest = make_guest(state, state.instances[subject.instance.uuid])
    await tools.nodes.ask(subject.primary, BalloonMemory(guest=guest, memory=memory))
