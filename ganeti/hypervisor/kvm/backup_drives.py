# SPDX-License-Identifier: BSD-2-Clause
"""The disks of a running guest as QEMU's block layer has them, and the bitmaps of their changes.

A bitmap has the areas that the guest has written since a backup, whose ID is in its name. Another
one begins with each backup; which of the two stays is known when that has ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Failed
from ganeti.hypervisor.kvm.devices import device_id
from ganeti.hypervisor.kvm.monitor import Monitor
from ganeti.schema.documents import Document

_BITMAPS = "ganeti-"


@dataclass(frozen=True)
class Drive:
    """A disk of a running guest: the node that its filter is, or would be, above.

    ``path`` is the path of its device in QEMU's object model. ``bitmaps`` are those of backups, and
    whether they record changes.
    """

    uuid: str
    path: str
    node: str
    filtered: bool
    size: int
    bitmaps: Mapping[str, bool]

    def node_name(self, kind: str) -> str:
        """Return the name of one of the nodes that a backup adds."""
        return device_id(kind, self.uuid)


def disk_key(uuid: str) -> str:
    """Return the digits of a disk's UUID that are in the names of its device."""
    return device_id("", uuid).removeprefix("-")


def parse_drives(
    blocks: Sequence[Document],
    nodes: Mapping[str, Document],
    read_node: Callable[[str], str],
) -> Iterator[Drive]:
    """Yield the disks in the answers of QEMU; ``read_node`` returns the node below a filter."""
    for block in blocks:
        device = block.get("qdev", "")
        begin = device.find("disk-")
        if begin < 0 or "inserted" not in block:
            continue
        key = device[begin:].partition("/")[0].removeprefix("disk-")
        node = block["inserted"]["node-name"]
        filtered = node == device_id("cbw", key)
        if filtered:
            node = read_node(key)
        if node not in nodes:
            raise Failed(f"QEMU has no block node {node}", Code.ENVIRONMENT)
        yield Drive(
            uuid=key,
            path=device if device.startswith("/") else f"/machine/peripheral/{device}",
            node=node,
            filtered=filtered,
            size=nodes[node]["image"]["virtual-size"],
            bitmaps={
                each["name"]: bool(each["recording"])
                for each in nodes[node].get("dirty-bitmaps", [])
                if str(each.get("name", "")).startswith(_BITMAPS)
            },
        )


async def set_drive(qemu: Monitor, drive: Drive, node: str) -> None:
    """Let the guest's device use another node."""
    await qemu.execute("qom-set", path=drive.path, property="drive", value=node)


def bitmap_name(repository: str, backup: str) -> str:
    """Return the name of the bitmap of changes since a backup."""
    digest = hashlib.sha256(repository.encode()).hexdigest()[:12]
    return f"{_BITMAPS}{digest}:{backup}"


async def keep_changes(qemu: Monitor, drive: Drive, new: str = "") -> None:
    """Settle the bitmaps after a backup that is not complete; ``new`` is its bitmap, if known.

    The changes in the bitmap of such a backup are added to the one before it, which records again.
    """
    for old in [name for name, records in drive.bitmaps.items() if not records]:
        later = [
            name
            for name, records in drive.bitmaps.items()
            if records and name.startswith(_prefix(old))
        ]
        actions = [
            _action("block-dirty-bitmap-merge", node=drive.node, target=old, bitmaps=later),
            _action("block-dirty-bitmap-enable", node=drive.node, name=old),
        ]
        # At once: a write between two steps would be in neither.
        await qemu.execute("transaction", actions=actions)
        for name in later:
            await remove_bitmap(qemu, drive.node, name)
    others = [
        name for name in drive.bitmaps if name != new and name.startswith(_prefix(new or "-"))
    ]
    if new in drive.bitmaps and not any(not drive.bitmaps[each] for each in others):
        await remove_bitmap(qemu, drive.node, new)


async def forget_others(qemu: Monitor, drive: Drive, new: str) -> None:
    """Remove the bitmaps of earlier backups in the same repository, if ``new`` is there."""
    if new in drive.bitmaps:
        for each in drive.bitmaps:
            if each != new and each.startswith(_prefix(new)):
                await remove_bitmap(qemu, drive.node, each)


async def remove_bitmap(qemu: Monitor, node: str, name: str) -> None:
    """Forget the changes since a backup."""
    await qemu.execute("block-dirty-bitmap-remove", node=node, name=name)


def _prefix(bitmap: str) -> str:
    """Return what the names of the bitmaps of one repository begin with."""
    return bitmap.partition(":")[0] + ":"


def _action(kind: str, **data: object) -> dict[str, object]:
    return {"type": kind, "data": data}
