# SPDX-License-Identifier: BSD-2-Clause
"""A provider of external storage in memory, whose scripts can be told to misbehave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ganeti.system.interfaces import BlockDevice
from ganeti.testing.disk import MemoryDisk
from ganeti.testing.images import MemoryImages
from ganeti.testing.processes import Ran, Script

MIB = 1 << 20
REQUIRED = ("attach", "create", "detach", "grow", "remove", "setinfo", "verify")
OPTIONAL = ("close", "open", "snapshot")


@dataclass(frozen=True)
class ArrayVolume:
    """A volume on external storage: MiB, what ``setinfo`` has recorded, and the nodes that use it.

    ``open_on`` has the nodes on which it is open; ``exclusive`` is whether for one of them alone.
    """

    size: int
    info: str = ""
    open_on: frozenset[str] = frozenset()
    exclusive: bool = False


@dataclass
class MemoryArray:
    """External storage that several nodes share: volumes by name, and the MiB that fit in all."""

    room: int = 1 << 40
    volumes: dict[str, ArrayVolume] = field(default_factory=dict)


class MemoryProvider:
    """The provider ``name`` of one node, installed in ``folder`` of its disk.

    ``trouble`` maps scripts to what they do instead; ``calls`` has script and variables of each
    run. Attached volumes are devices of ``images``.
    """

    def __init__(
        self,
        array: MemoryArray,
        disk: MemoryDisk,
        images: MemoryImages,
        folder: str,
        *,
        node: str = "node1",
        parameters: Mapping[str, str] | None = None,
        without: tuple[str, ...] = (),
    ) -> None:
        self.array = array
        self.trouble: dict[str, Script] = {}
        self.calls: list[tuple[str, Mapping[str, str]]] = []
        self._disk = disk
        self._images = images
        self._node = node
        disk.add_folder(folder, 0o755)
        listed = "".join(f"{name} {text}\n" for name, text in (parameters or {}).items())
        disk.put(f"{folder}/parameters.list", listed.encode(), 0o644, 0.0)
        scripts = [each for each in (*REQUIRED, *OPTIONAL) if each not in without]
        for each in scripts:
            disk.put(f"{folder}/{each}", b"#!/bin/sh\n", 0o755, 0.0)
        self.programs: dict[str, Callable[[Ran], Script]] = {
            f"{folder}/{each}": self._run_script for each in scripts
        }

    def _run_script(self, ran: Ran) -> Script:
        script = ran.argv[0].rpartition("/")[2]
        self.calls.append((script, ran.env))
        if script in self.trouble:
            done = self.trouble[script]
            if 1 in ran.files:
                self._print(ran, done.out)
                done = replace(done, out=b"")
            return done
        if script == "verify":
            return Script(int(ran.argv[1:] != ("parameters",)))
        if script == "create":
            return self._create(ran.env["VOL_NAME"], int(ran.env["VOL_SIZE"]))
        if script == "remove":
            self.array.volumes.pop(ran.env["VOL_NAME"], None)
            return Script()
        if script == "detach":
            self._images.devices.pop(_device(ran.env["VOL_NAME"]), None)
            return Script()
        if ran.env["VOL_NAME"] not in self.array.volumes:
            return Script(1, err=f"no volume {ran.env['VOL_NAME']}\n".encode())
        return self._change(script, ran)

    def _change(self, script: str, ran: Ran) -> Script:
        name = ran.env["VOL_NAME"]
        volume = self.array.volumes[name]
        match script:
            case "attach":
                path = _device(name)
                self._images.devices[path] = BlockDevice(path, volume.size * MIB)
                self._print(ran, f"{path}\n".encode())
            case "grow":
                return self._resize(name, int(ran.env["VOL_NEW_SIZE"]))
            case "setinfo":
                self.array.volumes[name] = replace(volume, info=ran.env["VOL_METADATA"])
            case "snapshot":
                size = int(ran.env["VOL_SNAPSHOT_SIZE"])
                return self._create(ran.env["VOL_SNAPSHOT_NAME"], size)
            case "open":
                return self._open(name, exclusive=ran.env["VOL_OPEN_EXCLUSIVE"] == "True")
            case "close":
                left = volume.open_on - {self._node}
                self.array.volumes[name] = replace(volume, open_on=left)
        return Script()

    def _create(self, name: str, size: int) -> Script:
        if name in self.array.volumes:
            return Script(1, err=b"it exists\n")
        self.array.volumes[name] = ArrayVolume(0)
        made = self._resize(name, size)
        if made.code:
            del self.array.volumes[name]
        return made

    def _resize(self, name: str, size: int) -> Script:
        others = sum(each.size for key, each in self.array.volumes.items() if key != name)
        if others + size > self.array.room:
            return Script(1, err=b"no space left\n")
        self.array.volumes[name] = replace(self.array.volumes[name], size=size)
        if _device(name) in self._images.devices:
            self._images.devices[_device(name)] = BlockDevice(_device(name), size * MIB)
        return Script()

    def _open(self, name: str, *, exclusive: bool) -> Script:
        volume = self.array.volumes[name]
        others = volume.open_on - {self._node}
        if others and (exclusive or volume.exclusive):
            return Script(1, err=f"it is open on {', '.join(sorted(others))}\n".encode())
        here = others | {self._node}
        self.array.volumes[name] = replace(volume, open_on=here, exclusive=exclusive)
        return Script()

    def _print(self, ran: Ran, text: bytes) -> None:
        path = ran.files[1]
        assert isinstance(path, str)
        self._disk.put(path, text, 0o600, 0.0)


def _device(volume: str) -> str:
    return f"/dev/ext/{volume}"
