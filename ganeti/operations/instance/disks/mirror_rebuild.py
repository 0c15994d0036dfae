# SPDX-License-Identifier: BSD-2-Clause
"""Replacement of copies of mirrored disks, on the same or another node.

The other copy is current all the time, and the guest keeps writing to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import replace_mirror_node, restore_placement
from ganeti.errors import Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.instance.disks.mirrors import sent, wait_until_synced
from ganeti.operations.operation import Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import (
    AttachDisk,
    AttachMirrorChildren,
    ConnectDisk,
    CreateDisk,
    DescribeDisks,
    DetachDisk,
    DetachMirrorChildren,
    DisconnectDisk,
    RemoveDisk,
    RenameDisk,
)
from ganeti.schema.records import replace


@dataclass(frozen=True)
class MirrorRebuild:
    """Disks whose copies on ``node`` are rebuilt from those on ``other``."""

    instance: Instance
    disks: Sequence[Disk]
    node: Node
    other: Node


async def rebuild_copies(what: MirrorRebuild, early: bool, tools: Tools) -> None:
    """Rebuild the copies; remove the old volumes when they are in sync, or ``early`` before.

    :raises Failed: a step failed; copies that are not in use yet are removed.
    """
    await _check_current(what.instance, what.disks, what.other, tools)
    old: list[Disk] = []
    for disk in what.disks:
        tools.progress.may_stop()
        old += await _rebuild_one(what, disk, tools)
    if early:
        await _remove_volumes(old, what.node, tools)
    await wait_until_synced(what.instance, what.disks, tools)
    if not early:
        await _remove_volumes(old, what.node, tools)


async def _check_current(
    instance: Instance, disks: Sequence[Disk], node: Node, tools: Tools
) -> None:
    """Check that the copies on ``node`` are current.

    :raises Refused: a copy is not.
    """
    state = tools.config.state()
    asked = DescribeDisks(disks=sent(state, instance, disks))
    for disk, status in zip(disks, await tools.nodes.ask(node, asked), strict=True):
        if status is None or status.local != "ok":
            word = "missing" if status is None else status.local
            raise Refused(
                f"the copy of {disk.iv_name} on node {node.name} is {word}, so the other one "
                f"cannot "
                "be rebuilt from it"
            )


async def _rebuild_one(what: MirrorRebuild, disk: Disk, tools: Tools) -> list[Disk]:
    """Replace the volumes of a disk on the node; return the old ones, which were renamed."""
    [whole] = sent(tools.config.state(), what.instance, [disk])
    ask = partial(tools.nodes.ask, what.node)
    tools.progress.log_message(f"rebuilding {disk.iv_name} on {what.node.name}")
    [status] = await tools.nodes.ask(what.node, DescribeDisks(disks=(whole,)))
    if status is None:
        # What is left of it, such as one of its volumes, would be in the way.
        await ask(RemoveDisk(disk=whole))
        await ask(CreateDisk(disk=whole, owner=what.instance.name, primary=False))
        await ask(AttachDisk(disk=whole, owner=what.instance.name, primary=False))
        return []
    known = await tools.nodes.ask(what.node, DescribeDisks(disks=whole.children))
    there = [child for child, found in zip(whole.children, known, strict=True) if found]
    # An earlier attempt may have left volumes with the names that it had chosen.
    stamp = tools.ids.uuid()
    fresh = {child.uuid: _rename_volume(child, f"new-{stamp}") for child in whole.children}
    aside = {child.uuid: _rename_volume(child, f"replaced-{stamp}") for child in there}
    async with Undo(tools.progress) as undo:
        for each in fresh.values():
            undo.by(f"remove {each.logical_id[1]}", partial(ask, RemoveDisk(disk=each)))
            await ask(CreateDisk(disk=each, owner=what.instance.name))
        tools.progress.may_stop()
        # Undone in reverse order: by then, the volumes have their old names again.
        undo.by(
            f"attach the old copy of {disk.iv_name} again",
            partial(ask, AttachMirrorChildren(disk=whole)),
        )
        await ask(DetachMirrorChildren(disk=whole))
        for child in whole.children:
            # The old volume first, as the new one gets its name.
            for before, after in (
                (child, aside.get(child.uuid)),
                (fresh[child.uuid], child),
            ):
                if after is not None:
                    # Before the call: a node that does not answer may have renamed the volume.
                    back = partial(ask, RenameDisk(disk=after, to=before))
                    undo.by(f"rename {before.logical_id[1]} back", back)
                    await ask(RenameDisk(disk=before, to=after))
        await ask(AttachMirrorChildren(disk=whole))
    return list(aside.values())


def _rename_volume(volume: Disk, suffix: str) -> Disk:
    """Return the volume with a name suffix, in the same volume group."""
    group, name = volume.logical_id
    return replace(volume, logical_id=(group, f"{name}.{suffix}"))


async def _remove_volumes(volumes: Sequence[Disk], node: Node, tools: Tools) -> None:
    for volume in volumes:
        try:
            await tools.nodes.ask(node, RemoveDisk(disk=volume))
        except (Failed, Refused) as e:
            tools.progress.log_message(
                f"cannot remove the volume {volume.logical_id[1]}, remove it manually: {e}"
            )


@dataclass(frozen=True)
class MirrorRelocation:
    """Disks on ``primary`` whose second copy moves from ``old`` to ``new``."""

    instance: Instance
    disks: Sequence[Disk]
    primary: Node
    old: Node
    new: Node


async def relocate_copies(what: MirrorRelocation, early: bool, tools: Tools) -> None:
    """Create the second copies on the new node, and remove the old ones when they are in sync.

    :raises Failed: a step failed; all steps before the connection to the new node are undone.
    """
    instance = what.instance
    await _check_current(instance, what.disks, what.primary, tools)
    before = sent(tools.config.state(), instance, what.disks)
    async with Undo(tools.progress) as undo:
        # The configuration comes first, as it allocates the minors on the new node.
        await tools.config.change(replace_mirror_node(instance, what.disks, what.old, what.new))
        back = partial(tools.config.change, restore_placement(what.disks))
        undo.by(f"record {what.old.name} as the secondary node again", back)
        state = tools.config.state()
        disks = [state.disks[disk.uuid] for disk in what.disks]
        after = sent(state, instance, disks)
        for disk in after:
            tools.progress.may_stop()
            remove = partial(tools.nodes.ask, what.new, RemoveDisk(disk=disk))
            undo.by(f"remove {disk.iv_name} on {what.new.name}", remove)
            create = CreateDisk(disk=disk, owner=instance.name, primary=False)
            await tools.nodes.ask(what.new, create)
        # Only when all new copies exist, as each switch gives up an old one.
        for was, now in zip(before, after, strict=True):
            tools.progress.log_message(
                f"{now.iv_name} is mirrored to {what.new.name} instead of {what.old.name}"
            )
            again = partial(_switch_back, what, was, now, tools)
            undo.by(f"mirror {was.iv_name} to {what.old.name} again", again)
            await _switch(what, was, now, tools)
    if early:
        await _remove_old(what, before, tools)
    try:
        await wait_until_synced(instance, disks, tools)
    except Failed:
        tools.progress.log_message(
            f"the old copies on node {what.old.name} are no longer used; remove them manually"
        )
        raise
    if not early:
        await _remove_old(what, before, tools)


async def _switch(what: MirrorRelocation, was: Disk, now: Disk, tools: Tools) -> None:
    """Connect the primary node to the new secondary node."""
    if not what.old.offline:
        try:
            await tools.nodes.ask(what.old, DetachDisk(disk=was))
        # Its copy is given up in any case.
        except (Failed, Refused) as e:
            tools.progress.log_message(f"cannot detach {was.iv_name} on node {what.old.name}: {e}")
    await tools.nodes.ask(what.primary, DisconnectDisk(disk=was))
    attach = AttachDisk(disk=now, owner=what.instance.name, primary=False)
    await tools.nodes.ask(what.new, attach)
    await tools.nodes.ask(what.primary, ConnectDisk(disk=now))


async def _switch_back(what: MirrorRelocation, was: Disk, now: Disk, tools: Tools) -> None:
    """Connect the primary node to the old secondary node again."""
    for node, call in ((what.new, DetachDisk(disk=now)), (what.primary, DisconnectDisk(disk=now))):
        with suppress(Failed, Refused):  # the failed switch may not have come this far
            await tools.nodes.ask(node, call)
    attach = AttachDisk(disk=was, owner=what.instance.name, primary=False)
    await tools.nodes.ask(what.old, attach)
    await tools.nodes.ask(what.primary, ConnectDisk(disk=was))


async def _remove_old(what: MirrorRelocation, disks: Sequence[Disk], tools: Tools) -> None:
    for disk in disks:
        if what.old.offline:
            tools.progress.log_message(
                f"cannot remove {disk.iv_name} on node {what.old.name}: the node is offline"
            )
            continue
        try:
            await tools.nodes.ask(what.old, RemoveDisk(disk=disk))
        except (Failed, Refused) as e:
            tools.progress.log_message(f"cannot remove {disk.iv_name} on node {what.old.name}: {e}")
