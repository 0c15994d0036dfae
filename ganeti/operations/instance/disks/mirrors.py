# SPDX-License-Identifier: BSD-2-Clause
"""Steps about disks that are mirrored between nodes: whether they agree, and who may write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.guests import with_parameters
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc.disks import ConnectDisk, DemoteDisk, DescribeDisks, DiskStatus, PromoteDisk

_NAPS = (1.0, 20.0)
"""Seconds between two looks at a resync, at least and at most."""
_SAY = 10.0
"""Seconds between two lines about a resync."""
_STUCK = 10
"""After how many looks at disks that are neither in sync nor on the way one gives up."""
_FINE = ("ok",)


def mirrored(disks: Sequence[Disk]) -> list[Disk]:
    """Those of the disks that have a copy on a secondary node."""
    return [disk for disk in disks if disk.dev_type in MIRRORED_BETWEEN_NODES]


def sent(state: ClusterState, instance: Instance, disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """The disks in the form that nodes are sent."""
    return tuple(with_parameters(state, instance, disk) for disk in disks)


def ask_about(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], nodes: Sequence[Node]
) -> Iterator[NodeQuery]:
    """The question how the copies of mirrored disks stand on those of the nodes that are online."""
    online = [node for node in nodes if not node.offline]
    if online and (found := mirrored(disks)):
        yield NodeQuery(online, DescribeDisks(disks=sent(state, instance, found)))


def broken_on(node: Node, disks: Sequence[Disk], facts: NodeAnswers) -> list[tuple[Disk, str]]:
    """The mirrored disks whose copy on ``node`` is not current, and how it is instead.

    :raises Refused: the node did not answer.
    """
    statuses = facts.of(node, DescribeDisks)
    pairs = zip(mirrored(disks), statuses, strict=True)
    return [(disk, word) for disk, status in pairs if (word := _word(status)) not in _FINE]


def _word(status: DiskStatus | None) -> str:
    return "missing" if status is None else status.local


def require_current(node: Node, disks: Sequence[Disk], facts: NodeAnswers, otherwise: str) -> None:
    """Refuse to rely on copies that are not current; ``otherwise`` is the way out.

    :raises Refused: there is such a copy, or the node did not answer.
    """
    if not mirrored(disks):
        return
    if broken := broken_on(node, disks, facts):
        each = ", ".join(f"{disk.iv_name} is {word}" for disk, word in broken)
        raise Refused(f"the copies on {node.name} are not current: {each}; {otherwise}")


async def wait_for_sync(instance: Instance, disks: Sequence[Disk], tools: Tools) -> bool:
    """Wait until the copies of mirrored disks are the same, and tell how far that is.

    False if they will not be, because nothing is done about it.
    """
    state = tools.config.state()
    current = state.instances[instance.uuid]
    wanted = mirrored([state.disks[disk.uuid] for disk in disks])
    if not wanted:
        return True
    node = state.nodes[current.primary_node]
    call, stuck, said = DescribeDisks(disks=sent(state, current, wanted)), 0, -_SAY
    while True:
        statuses = await tools.nodes.ask(node, call)
        late = [
            (disk, status)
            for disk, status in zip(wanted, statuses, strict=True)
            if status is None or status.degraded or status.sync_percent is not None
        ]
        if not late:
            return True
        moving = [status for _, status in late if status and status.sync_percent is not None]
        stuck = 0 if moving else stuck + 1
        if stuck >= _STUCK:
            names = ", ".join(disk.iv_name for disk, _ in late)
            tools.progress.say(
                f"instance {instance.name} is left without a second current copy of {names}"
            )
            return False
        if tools.time.seconds() - said >= _SAY:
            said = tools.time.seconds()
            for disk, status in late:
                if status is not None and status.sync_percent is not None:
                    tools.progress.say(_progress(disk, status))
        await tools.time.sleep(_nap(moving))


def _progress(disk: Disk, status: DiskStatus) -> str:
    left = "" if status.estimated_time is None else f", {status.estimated_time} s to go"
    return f"{disk.iv_name} is being filled: {status.sync_percent:.1f}% done{left}"


def _nap(statuses: Sequence[DiskStatus]) -> float:
    left = [each.estimated_time for each in statuses if each.estimated_time is not None]
    least, most = _NAPS
    return min(most, max(least, max(left, default=0) / 2))


async def require_sync(instance: Instance, disks: Sequence[Disk], tools: Tools) -> None:
    """Wait until mirrored disks are in sync.

    :raises Failed: they are not going to be.
    """
    if not await wait_for_sync(instance, disks, tools):
        raise Failed(
            f"the disks of instance {instance.name} have only one current copy; see "
            f"gnt-instance info {instance.name}",
            Code.ENVIRONMENT,
        )


async def let_both_write(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], target: Node, tools: Tools
) -> None:
    """Let ``target`` write to the mirrored disks beside the primary node."""
    primary = state.nodes[instance.primary_node]
    for disk in sent(state, instance, mirrored(disks)):
        for node in (primary, target):
            await tools.nodes.ask(node, ConnectDisk(disk=disk, both=True))
        await tools.nodes.ask(target, PromoteDisk(disk=disk, both=True))


async def let_one_write(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], other: Node, tools: Tools
) -> list[str]:
    """Let only the primary node write to mirrored disks again, and not ``other``.

    Answers what could not be done.
    """
    primary, left = state.nodes[instance.primary_node], []
    for disk in sent(state, instance, mirrored(disks)):
        for node, call in (
            (other, DemoteDisk(disk=disk)),
            (primary, ConnectDisk(disk=disk)),
            (other, ConnectDisk(disk=disk)),
        ):
            try:
                await tools.nodes.ask(node, call)
            except (Failed, Refused) as e:
                left.append(f"{disk.iv_name} on {node.name}: {e}")
    return left
