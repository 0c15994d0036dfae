# SPDX-License-Identifier: BSD-2-Clause
"""Wiping of new disks, so that guests cannot read data of earlier owners."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ganeti.errors import Failed, Refused
from ganeti.model.disk import Disk, get_pool
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.model.work_progress import WorkProgress
from ganeti.operations.instance.disks.mirrors import mirrored, sent
from ganeti.operations.operation import Tools
from ganeti.rpc.disks import DescribeDisks, PauseResync, WipeDisk

CHUNK = 1024
"""MiB that a node wipes per call; the job can be canceled between two calls."""
_REPORT_INTERVAL = 30.0
"""Seconds between two progress messages."""


async def wipe_if_enabled(
    instance: Instance, disks: Sequence[Disk], tools: Tools, *, start: int = 0
) -> None:
    """Wipe disks from ``start`` (MiB) on if the cluster setting prealloc_wipe_disks is on.

    Those in a thin pool are left alone: they read as zeros where nothing was written.
    The disks are on the primary node of the instance, attached or attachable.

    :raises Failed: a part was not wiped, so the disks must not be used.
    """
    state = tools.config.state()
    if not state.cluster.prealloc_wipe_disks or not disks:
        return
    current = state.instances[instance.uuid]
    node = state.nodes[current.primary_node]
    recorded = [state.disks[disk.uuid] for disk in disks]
    wanted = sent(state, current, [disk for disk in recorded if not get_pool(disk)])
    async with _pause_resync(node, wanted, tools):
        for disk in wanted:
            await _wipe(disk, node, start, tools)


async def _wipe(disk: Disk, node: Node, start: int, tools: Tools) -> None:
    end, begun = await get_actual_size(disk, node, tools), tools.time.seconds()
    tools.progress.log_message(f"wiping {disk.iv_name} ({end - start} MiB) on {node.name}")
    offset, said = start, begun
    while offset < end:
        tools.progress.may_stop()
        size = min(CHUNK, end - offset)
        call = WipeDisk(disk=disk, offset=offset, size=size)
        await tools.progress.interruptible(tools.nodes.ask(node, call))
        offset += size
        now = tools.time.seconds()
        if offset < end and now - said >= _REPORT_INTERVAL:
            said = now
            left = (now - begun) / (offset - start) * (end - offset)
            done = 100 * (offset - start) / (end - start)
            tools.progress.log_message(str(WorkProgress(f"wiping {disk.iv_name}", done, left)))


async def get_actual_size(disk: Disk, node: Node, tools: Tools) -> int:
    """Return the size in MiB that guests see; ``disk`` is in the form that is sent to nodes.

    Volumes consist of whole extents, so it can exceed the recorded size.
    """
    [status] = await tools.nodes.ask(node, DescribeDisks(disks=(disk,)))
    return disk.size if status is None or status.size is None else status.size


@asynccontextmanager
async def _pause_resync(node: Node, disks: Sequence[Disk], tools: Tools) -> AsyncIterator[None]:
    """Pause the initial sync of mirrored disks, which would write all data a second time."""
    held = []
    try:
        for disk in mirrored(disks):
            # Before the call: without an answer, the resync may be paused.
            held.append(disk)
            await tools.nodes.ask(node, PauseResync(disk=disk, paused=True))
        yield
    finally:
        for disk in held:
            try:
                await tools.nodes.ask(node, PauseResync(disk=disk, paused=False))
            except (Failed, Refused) as e:
                tools.progress.log_message(f"cannot resume the sync of {disk.iv_name}: {e}")
