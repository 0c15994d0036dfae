# SPDX-License-Identifier: BSD-2-Clause
"""Building copies of mirrored disks: anew where they are, or on a node that has none yet.

The other copy is current all the time and goes on being written by the guest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ganeti.config.changes.instances import copied_to, placed_as
from ganeti.errors import Failed, Refused
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.instance.disks.mirrors import require_sync, sent
from ganeti.operations.operation import Tools
from ganeti.operations.undo import Undo
from ganeti.rpc.disks import (
    AttachDisk,
    ConnectDisk,
    CreateDisk,
    DescribeDisks,
    DetachDisk,
    DisconnectDisk,
    DropCopy,
    RemoveDisk,
    RenameDisk,
    TakeCopy,
)
from ganeti.schema.records import replace


@dataclass(frozen=True)
class MirrorRebuild:
    """Disks whose copies on ``node`` are built anew from those on ``other``."""

    instance: Instance
    disks: Sequence[Disk]
    node: Node
    other: Node


async def rebuild(what: MirrorRebuild, early: bool, tools: Tools) -> None:
    """Build the copies anew; the old volumes go when they are in sync, or ``early`` before.

    :raises Failed: a copy that was not yet taken into use is taken back.
    """
    await _require_current(what.instance, what.disks, what.other, tools)
    old: list[Disk] = []
    for disk in what.disks:
        tools.progress.may_stop()
        old += await _rebuild_one(what, disk, tools)
    if early:
        await _remove(old, what.node, tools)
    await require_sync(what.instance, what.disks, tools)
    if not early:
        await _remove(old, what.node, tools)


async def _require_current(
    instance: Instance, disks: Sequence[Disk], node: Node, tools: Tools
) -> None:
    """Refuse unless the copies on ``node`` are current."""
    state = tools.config.state()
    asked = DescribeDisks(disks=sent(state, instance, disks))
    for disk, status in zip(disks, await tools.nodes.ask(node, asked), strict=True):
        if status is None or status.local != "ok":
            word = "missing" if status is None else status.local
            raise Refused(
                f"the copy of {disk.iv_name} on {node.name} is {word}, and the other one cannot "
                "be built from it"
            )


async def _rebuild_one(what: MirrorRebuild, disk: Disk, tools: Tools) -> list[Disk]:
    """Let a disk use new volumes on the node; answers the old ones, which have other names now."""
    [whole] = sent(tools.config.state(), what.instance, [disk])
    ask = partial(tools.nodes.ask, what.node)
    tools.progress.say(f"building {disk.iv_name} anew on {what.node.name}")
    [status] = await tools.nodes.ask(what.node, DescribeDisks(disks=(whole,)))
    if status is None:
        await ask(RemoveDisk(disk=whole))
        await ask(CreateDisk(disk=whole, owner=what.instance.name, primary=False))
        await ask(AttachDisk(disk=whole, owner=what.instance.name, primary=False))
        return []
    known = await tools.nodes.ask(what.node, DescribeDisks(disks=whole.children))
    there = [child for child, found in zip(whole.children, known, strict=True) if found]
    stamp = tools.ids.uuid()
    fresh = {child.uuid: _named(child, f"new-{stamp}") for child in whole.children}
    aside = {child.uuid: _named(child, f"replaced-{stamp}") for child in there}
    async with Undo(tools.progress) as undo:
        for each in fresh.values():
            undo.by(f"remove {each.logical_id[1]}", partial(ask, RemoveDisk(disk=each)))
            await ask(CreateDisk(disk=each, owner=what.instance.name))
        tools.progress.may_stop()
        undo.by(f"use the old copy of {disk.iv_name} again", partial(ask, TakeCopy(disk=whole)))
        await ask(DropCopy(disk=whole))
        for child in whole.children:
            for before, after in (
                (child, aside.get(child.uuid)),
                (fresh[child.uuid], child),
            ):
                if after is not None:
                    back = partial(ask, RenameDisk(disk=after, to=before))
                    await ask(RenameDisk(disk=before, to=after))
                    undo.by(f"give {before.logical_id[1]} its name back", back)
        await ask(TakeCopy(disk=whole))
    return list(aside.values())


def _named(volume: Disk, suffix: str) -> Disk:
    """The volume under another name, in the same volume group."""
    group, name = volume.logical_id
    return replace(volume, logical_id=(group, f"{name}.{suffix}"))


async def _remove(volumes: Sequence[Disk], node: Node, tools: Tools) -> None:
    for volume in volumes:
        try:
            await tools.nodes.ask(node, RemoveDisk(disk=volume))
        except (Failed, Refused) as e:
            tools.progress.say(f"not removed, remove it by hand: {volume.logical_id[1]}: {e}")


@dataclass(frozen=True)
class Relocation:
    """Disks on ``primary`` whose second copy comes to ``new`` instead of ``old``."""

    instance: Instance
    disks: Sequence[Disk]
    primary: Node
    old: Node
    new: Node


async def relocate(what: Relocation, early: bool, tools: Tools) -> None:
    """Build the second copies on the new node; the old ones go when these are in sync.

    :raises Failed: until the primary node is connected to the new one, everything is taken back.
    """
    instance = what.instance
    await _require_current(instance, what.disks, what.primary, tools)
    before = sent(tools.config.state(), instance, what.disks)
    async with Undo(tools.progress) as undo:
        # Only the configuration knows which minors are free on the new node.
        await tools.config.change(copied_to(instance, what.disks, what.old, what.new))
        back = partial(tools.config.change, placed_as(what.disks))
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
        for was, now in zip(before, after, strict=True):
            tools.progress.say(
                f"{now.iv_name} is mirrored to {what.new.name} instead of {what.old.name}"
            )
            again = partial(_switch_back, what, was, now, tools)
            undo.by(f"mirror {was.iv_name} to {what.old.name} again", again)
            await _switch(what, was, now, tools)
    if early:
        await _remove_old(what, before, tools)
    try:
        await require_sync(instance, disks, tools)
    except Failed:
        tools.progress.say(f"the copies on {what.old.name} are not removed, but not used any more")
        raise
    if not early:
        await _remove_old(what, before, tools)


async def _switch(what: Relocation, was: Disk, now: Disk, tools: Tools) -> None:
    """Let the primary node talk to the new secondary one."""
    if not what.old.offline:
        try:
            await tools.nodes.ask(what.old, DetachDisk(disk=was))
        except (Failed, Refused) as e:
            tools.progress.say(f"{was.iv_name} is not detached on {what.old.name}: {e}")
    await tools.nodes.ask(what.primary, DisconnectDisk(disk=was))
    attach = AttachDisk(disk=now, owner=what.instance.name, primary=False)
    await tools.nodes.ask(what.new, attach)
    await tools.nodes.ask(what.primary, ConnectDisk(disk=now))


async def _switch_back(what: Relocation, was: Disk, now: Disk, tools: Tools) -> None:
    """Let the primary node talk to the old secondary one again, if it does not."""
    for node, call in ((what.new, DetachDisk(disk=now)), (what.primary, DisconnectDisk(disk=now))):
        with suppress(Failed, Refused):  # that is as far as it had come
            await tools.nodes.ask(node, call)
    attach = AttachDisk(disk=was, owner=what.instance.name, primary=False)
    await tools.nodes.ask(what.old, attach)
    await tools.nodes.ask(what.primary, ConnectDisk(disk=was))


async def _remove_old(what: Relocation, disks: Sequence[Disk], tools: Tools) -> None:
    for disk in disks:
        if what.old.offline:
            tools.progress.say(f"{disk.iv_name} is left on {what.old.name}, which is offline")
            continue
        try:
            await tools.nodes.ask(what.old, RemoveDisk(disk=disk))
        except (Failed, Refused) as e:
            tools.progress.say(f"{disk.iv_name} is left on {what.old.name}: {e}")
