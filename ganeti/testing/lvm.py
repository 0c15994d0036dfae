# SPDX-License-Identifier: BSD-2-Clause
"""The programs of lvm2, as scripts over a volume group in memory; sizes are MiB."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from ganeti.testing.processes import Ran, Script

EXTENT = 4


@dataclass(frozen=True)
class Logical:
    """A volume of the group."""

    size: int
    tag: str = ""
    active: bool = False
    origin: str = ""
    pool: str = ""


@dataclass(frozen=True)
class ScriptedPool:
    """A thin pool, with the percentages of its data and metadata that are used."""

    size: int
    data: float = 0.0
    metadata: float = 0.0
    zeroes: bool = True


class ScriptedLvm:
    """One volume group of ``size`` on two devices, with the command lines that drivers use.

    ``programs`` is for ``MemoryProcesses``. ``volumes``, ``unallocatable`` and ``missing`` are
    what there is, ``pools`` the thin pools; ``opened`` names volumes that cannot be deactivated.
    """

    devices = ("/dev/sda", "/dev/sdb")

    def __init__(self, group: str = "vg0", size: int = 1024) -> None:
        self.group = group
        self.size = size
        self.volumes: dict[str, Logical] = {}
        self.pools: dict[str, ScriptedPool] = {}
        self.opened: set[str] = set()
        self.unallocatable: set[str] = set()
        self.missing: set[str] = set()
        self.programs: dict[str, Callable[[Ran], Script]] = {
            "lvs": self._lvs,
            "vgs": self._vgs,
            "pvs": self._pvs,
            "lvcreate": self._lvcreate,
            "lvremove": self._lvremove,
            "lvextend": self._lvextend,
            "lvrename": self._lvrename,
            "lvchange": self._lvchange,
            "pvchange": self._pvchange,
            "vgreduce": self._vgreduce,
        }

    @property
    def free(self) -> int:
        thick = [each.size for each in self.volumes.values() if not each.pool]
        return self.size - sum(thick) - sum(each.size for each in self.pools.values())

    def _lvs(self, ran: Ran) -> Script:
        return _report(
            "lv",
            [
                {
                    "vg_name": self.group,
                    "lv_name": name,
                    "lv_size": f"{volume.size}.00",
                    # Characters 5, 6 and 9, see lvs(8): active, open, and a device is missing.
                    "lv_attr": f"-wi-{'a' if volume.active else '-'}"
                    f"{'o' if name in self.opened else '-'}--{'p' if self.missing else '-'}-",
                    "lv_tags": volume.tag,
                    "lv_kernel_major": "253" if volume.active else "-1",
                    "lv_kernel_minor": "7" if volume.active else "-1",
                    "pool_lv": volume.pool,
                    "data_percent": "",
                    "metadata_percent": "",
                }
                for name, volume in self.volumes.items()
            ]
            + [self._describe_pool(name, pool) for name, pool in self.pools.items()],
        )

    def _describe_pool(self, name: str, pool: ScriptedPool) -> dict[str, str]:
        return {
            "vg_name": self.group,
            "lv_name": name,
            "lv_size": f"{pool.size}.00",
            # Character 8, see lvs(8): blocks are zeroed.
            "lv_attr": f"twi-a-t{'z' if pool.zeroes else '-'}--",
            "lv_tags": "",
            "lv_kernel_major": "253",
            "lv_kernel_minor": "2",
            "pool_lv": "",
            "data_percent": f"{pool.data:.2f}",
            "metadata_percent": f"{pool.metadata:.2f}",
        }

    def _vgs(self, ran: Ran) -> Script:
        row = {"vg_name": self.group, "vg_size": f"{self.size}.00", "vg_free": f"{self.free}.00"}
        # Character 4, see vgs(8): partial, as a device is missing.
        return _report("vg", [{**row, "vg_attr": "wz-pn-" if self.missing else "wz--n-"}])

    def _pvs(self, ran: Ran) -> Script:
        half = self.size // len(self.devices)
        return _report(
            "pv",
            [
                {
                    "pv_name": "[unknown]" if name in self.missing else name,
                    "vg_name": self.group,
                    "pv_size": f"{half}.00",
                    "pv_free": f"{half}.00",
                    "pv_used": "0",
                    # Characters 1 and 3, see pvs(8): allocatable or only used, and missing.
                    "pv_attr": f"{'u' if name in self.unallocatable else 'a'}-"
                    f"{'m' if name in self.missing else '-'}",
                }
                for name in self.devices
            ],
        )

    def _lvcreate(self, ran: Ran) -> Script:
        if "-s" in ran.argv:
            if "-W" in ran.argv:
                return _refusal("Option --wipesignatures is unsupported with snapshots.")
            if self._named(ran.argv[-1]) not in self.volumes:
                return _refusal(f'Failed to find logical volume "{ran.argv[-1]}"')
        elif "--thinpool" in ran.argv and "-Z" in ran.argv:
            return _refusal("--zero is supported only with thin pool creation.")
        group, size = ran.argv[-1].split("/")[0], self._size(ran)
        pool = self._find_pool(ran)
        name = ran.argv[ran.argv.index("-n") + 1]
        tag = ran.argv[ran.argv.index("--addtag") + 1] if "--addtag" in ran.argv else ""
        if group != self.group:
            return _refusal(
                f'Volume group "{group}" not found', f"Cannot process volume group {group}"
            )
        if name in self.volumes:
            return _refusal(f'Logical Volume "{name}" already exists in volume group "{group}"')
        if size > self.free and not pool:
            lacks = f"insufficient free space ({self.free // EXTENT} extents)"
            return _refusal(f'Volume group "{group}" has {lacks}: {size // EXTENT} required.')
        # A new volume is active unless the option says otherwise.
        origin = self._named(ran.argv[-1]) if "-s" in ran.argv else ""
        self.volumes[name] = Logical(
            size, tag, active="-a" not in ran.argv, origin=origin, pool=pool
        )
        return Script(out=f'  Logical volume "{name}" created.\n'.encode())

    def _lvremove(self, ran: Ran) -> Script:
        for full in ran.argv[2:]:
            name = self._named(full)
            if name not in self.volumes:
                return _refusal(f'Failed to find logical volume "{full}"')
            if name in self.opened:
                return _refusal(f"Logical volume {full} in use.")
            del self.volumes[name]
            # Those in a thin pool are volumes of their own.
            for each in self._family(name):
                del self.volumes[each]
        return Script()

    def _lvextend(self, ran: Ran) -> Script:
        name, size = self._named(ran.argv[-1]), self._size(ran)
        volume = self.volumes[name]
        if size <= volume.size:
            return _refusal("New size (16 extents) matches existing size (16 extents).")
        if size - volume.size > self.free and not volume.pool:
            return _refusal("Insufficient free space: 1584 extents needed, but only 82 available")
        self.volumes[name] = replace(volume, size=size)
        return Script()

    def _lvrename(self, ran: Ran) -> Script:
        _, group, old, new = ran.argv
        if old not in self.volumes:
            return _refusal(f'Existing logical volume "{old}" not found in volume group "{group}"')
        if new in self.volumes:
            return _refusal(f'Logical Volume "{new}" already exists in volume group "{group}"')
        self.volumes[new] = self.volumes.pop(old)
        return Script()

    def _lvchange(self, ran: Ran) -> Script:
        name, active = self._named(ran.argv[-1]), "y" in ran.argv
        if name not in self.volumes:
            return _refusal(f'Failed to find logical volume "{ran.argv[-1]}"')
        if name in self.opened and not active:
            return _refusal(f"Logical volume {ran.argv[-1]} in use.")
        if len(self._family(self.volumes[name].origin)) > 1 and "--yes" not in ran.argv:
            return _refusal(
                f"Change of snapshot {ran.argv[-1]} will also change its origin and"
                " 1 other snapshot(s). Proceed? [y/n]: [n]",
                f"Logical volume {ran.argv[-1]} not changed.",
            )
        self.volumes[name] = replace(self.volumes[name], active=active)
        return Script()

    def _pvchange(self, ran: Ran) -> Script:
        change = self.unallocatable.discard if "y" in ran.argv else self.unallocatable.add
        change(ran.argv[-1])
        return Script()

    def _vgreduce(self, ran: Ran) -> Script:
        if ran.argv[-1] != self.group:
            return _refusal(f'Volume group "{ran.argv[-1]}" not found')
        self.missing.clear()
        return Script()

    def _size(self, ran: Ran) -> int:
        if "-k" in ran.argv:
            return self.volumes[self._named(ran.argv[-1])].size
        if "100%ORIGIN" in ran.argv:
            # With an extent for what a snapshot writes about itself.
            return self.volumes[self._named(ran.argv[-1])].size + EXTENT
        return _size(ran)

    def _family(self, origin: str) -> list[str]:
        """Return the snapshots of a volume that belong to it, as they are in no thin pool."""
        return [
            name
            for name, found in self.volumes.items()
            if origin and found.origin == origin and not found.pool
        ]

    def _find_pool(self, ran: Ran) -> str:
        """Return the thin pool of a new volume; a snapshot is in that of its origin."""
        if "-s" in ran.argv:
            return self.volumes[self._named(ran.argv[-1])].pool
        return ran.argv[ran.argv.index("--thinpool") + 1] if "--thinpool" in ran.argv else ""

    def _named(self, full: str) -> str:
        return full.removeprefix(f"{self.group}/")


def _size(ran: Ran) -> int:
    option = "-V" if "-V" in ran.argv else "-L"
    asked = int(ran.argv[ran.argv.index(option) + 1].removesuffix("m"))
    # LVM only gives out whole extents.
    return -(-asked // EXTENT) * EXTENT


def _report(kind: str, rows: list[dict[str, str]]) -> Script:
    return Script(out=json.dumps({"report": [{kind: rows}]}, indent=4).encode())


def _refusal(*lines: str) -> Script:
    # The status of every command of LVM that has failed.
    return Script(code=5, err="".join(f"  {line}\n" for line in lines).encode())
