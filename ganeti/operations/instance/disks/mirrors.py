# SPDX-License-Identifier: BSD-2-Clause
"""Steps for mirrored disks: status, resync, and dual-primary mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.model.work_progress import WorkProgress
from ganeti.operations.guest_conversion import fill_disk_parameters
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc.disks import ConnectDisk, DemoteDisk, DescribeDisks, DiskStatus, PromoteDisk

_POLL_INTERVALS = (1.0, 20.0)
"""Seconds between two polls of a resync, at least and at most."""
_REPORT_INTERVAL = 10.0
"""Seconds between two progress messages of a resync."""
_MAX_STALLED_POLLS = 10
"""The number of polls without any resync in progress after which to give up."""
_CURRENT_STATUSES = ("ok",)


def mirrored(disks: Sequence[Disk]) -> list[Disk]:
    """Return those of the disks that are mirrored between nodes."""
    return [disk for disk in disks if disk.dev_type in MIRRORED_TEMPLATES]


def sent(state: ClusterState, instance: Instance, disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """Return the disks in the form that is sent to nodes."""
    return tuple(fill_disk_parameters(state, instance, disk) for disk in disks)


def mirror_queries(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], nodes: Sequence[Node]
) -> Iterator[NodeQuery]:
    """Yield the query for the status of mirrored disks on those of the nodes that are online."""
    online = [node for node in nodes if not node.offline]
    if online and (found := mirrored(disks)):
        yield NodeQuery(online, DescribeDisks(disks=sent(state, instance, found)))


def find_outdated(node: Node, disks: Sequence[Disk], facts: NodeAnswers) -> list[tuple[Disk, str]]:
    """Return the mirrored disks whose copy on ``node`` is not current, with its status.

    :raises Refused: the node did not answer.
    """
    statuses = facts.answer_of(node, DescribeDisks)
    pairs = zip(mirrored(disks), statuses, strict=True)
    return [
        (disk, word)
        for disk, status in pairs
        if (word := _format_status(status)) not in _CURRENT_STATUSES
    ]


def _format_status(status: DiskStatus | None) -> str:
    return "missing" if status is None else status.local


def check_current(node: Node, disks: Sequence[Disk], facts: NodeAnswers, otherwise: str) -> None:
    """Check that the copies on ``node`` are current; ``otherwise`` is the advice in the message.

    :raises Refused: a copy is not current, or the node did not answer.
    """
    if not mirrored(disks):
        return
    if broken := find_outdated(node, disks, facts):
        each = ", ".join(f"{disk.iv_name} is {word}" for disk, word in broken)
        raise Refused(f"the copies on node {node.name} are not current: {each}; {otherwise}")


async def wait_for_sync(instance: Instance, disks: Sequence[Disk], tools: Tools) -> bool:
    """Wait until mirrored disks are in sync, and report the progress.

    Return False if they are not in sync and no resync is in progress.
    """
    state = tools.config.state()
    current = state.instances[instance.uuid]
    wanted = mirrored([state.disks[disk.uuid] for disk in disks])
    if not wanted:
        return True
    node = state.nodes[current.primary_node]
    call, stuck, said = DescribeDisks(disks=sent(state, current, wanted)), 0, -_REPORT_INTERVAL
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
        if stuck >= _MAX_STALLED_POLLS:
            names = ", ".join(disk.iv_name for disk, _ in late)
            tools.progress.log_message(
                f"instance {instance.name} has no second current copy of {names}"
            )
            return False
        if tools.time.seconds() - said >= _REPORT_INTERVAL:
            said = tools.time.seconds()
            for disk, status in late:
                if status is not None and status.sync_percent is not None:
                    done = WorkProgress(
                        f"syncing {disk.iv_name}", status.sync_percent, status.estimated_time
                    )
                    tools.progress.log_message(str(done))
        await tools.time.sleep(_poll_interval(moving))


def _poll_interval(statuses: Sequence[DiskStatus]) -> float:
    left = [each.estimated_time for each in statuses if each.estimated_time is not None]
    least, most = _POLL_INTERVALS
    return min(most, max(least, max(left, default=0) / 2))


async def wait_until_synced(instance: Instance, disks: Sequence[Disk], tools: Tools) -> None:
    """Wait until mirrored disks are in sync.

    :raises Failed: no resync is in progress.
    """
    if not await wait_for_sync(instance, disks, tools):
        raise Failed(
            f"disks of instance {instance.name} have only one current copy; see "
            f"gnt-instance info {instance.name}",
            Code.ENVIRONMENT,
        )


async def enable_dual_primary(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], target: Node, tools: Tools
) -> None:
    """Enable dual-primary mode: ``target`` may also write to the mirrored disks."""
    primary = state.nodes[instance.primary_node]
    for disk in sent(state, instance, mirrored(disks)):
        # Both ends have to allow two primaries before the second one is promoted.
        for node in (primary, target):
            await tools.nodes.ask(node, ConnectDisk(disk=disk, both=True))
        await tools.nodes.ask(target, PromoteDisk(disk=disk, both=True))


async def disable_dual_primary(
    state: ClusterState, instance: Instance, disks: Sequence[Disk], other: Node, tools: Tools
) -> list[str]:
    """Disable dual-primary mode: only the primary node may write, not ``other``.

    Return messages for failed steps.
    """
    primary, left = state.nodes[instance.primary_node], []
    for disk in sent(state, instance, mirrored(disks)):
        # Demoted first: with two primaries, the kernel does not forbid them.
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
