# SPDX-License-Identifier: BSD-2-Clause
"""``qemu-img``, as a script over images in memory; its messages are those of version 7.2."""

from __future__ import annotations

import json
import struct

from ganeti.storage.qcow2 import HEADER_SIZE, Qcow2Header, read_header
from ganeti.testing.images import MemoryImages
from ganeti.testing.processes import Ran, Script

EMPTY_IMAGE = 192 << 10
"""The bytes of the file of an image without data."""


def write_header(header: Qcow2Header) -> bytes:
    """Return the first bytes of an image; it has no tables."""
    fields = (HEADER_SIZE if header.backed else 0, 0, 16, header.size, int(header.encrypted))
    features = header.corrupt << 1 | header.data_file << 2
    start = struct.pack(">4sIQIIQI36xQ", b"QFI\xfb", 3, *fields, features)
    return start.ljust(HEADER_SIZE, b"\0")


class ScriptedQemuImg:
    """The command lines that drivers use; ``programs`` is for ``MemoryProcesses``.

    Snapshots are in the first bytes of the images, after the header. Images in ``busy`` are open in
    a QEMU; commands in ``broken`` fail. Changes of snapshots never end if it ``hangs``.
    """

    def __init__(self, images: MemoryImages) -> None:
        self._images = images
        self.busy: set[str] = set()
        self.broken: set[str] = set()
        self.hangs = False
        self.programs = {"qemu-img": self._called}

    def _called(self, ran: Ran) -> Script:
        _, command, *arguments = ran.argv
        if command in self.broken:
            return _error("Input/output error")
        if command in ("create", "resize"):
            path, size = arguments[-2:]
            return self._set_size(path, int(size))
        path = arguments[-1].partition("file.filename=")[2].replace(",,", ",")
        if command == "info":
            names = [
                {"id": str(n), "name": each}
                for n, each in enumerate(self.sizes_by_snapshot(path), 1)
            ]
            return Script(out=json.dumps({"format": "qcow2", "snapshots": names}).encode())
        return self._snapshot(path, arguments[0], arguments[1])

    def _set_size(self, path: str, size: int) -> Script:
        if path in self.busy:
            return _error('Failed to get "write" lock')
        self._write(path, size, {})
        self._images.sizes[path] = max(self._images.sizes[path], EMPTY_IMAGE)
        return Script()

    def _snapshot(self, path: str, what: str, name: str) -> Script:
        if self.hangs:
            return Script(hangs=True)
        if path in self.busy:
            return _error('Failed to get "write" lock')
        snapshots = self.sizes_by_snapshot(path)
        if what == "-c":
            header = read_header(self._images.heads[path])
            assert header is not None
            self.store_snapshots(path, {**snapshots, name: header.size})
        elif name not in snapshots:
            return _error(f"Could not apply snapshot '{name}': Can't find snapshot")
        elif what == "-d":
            self.store_snapshots(path, {n: size for n, size in snapshots.items() if n != name})
        else:
            # As the real one since version 5.1: the size is that at the time of the snapshot.
            self._write(path, snapshots[name], snapshots)
        return Script()

    def sizes_by_snapshot(self, path: str) -> dict[str, int]:
        """Return the names of the snapshots of an image, and the sizes of the disk then."""
        stored = self._images.heads.get(path, b"")[HEADER_SIZE:]
        found: dict[str, int] = json.loads(stored) if stored else {}
        return found

    def store_snapshots(self, path: str, snapshots: dict[str, int]) -> None:
        """Give an image these snapshots in place of its own."""
        header = read_header(self._images.heads[path])
        assert header is not None
        self._write(path, header.size, snapshots)

    def _write(self, path: str, size: int, snapshots: dict[str, int]) -> None:
        stored = json.dumps(snapshots).encode()
        self._images.heads[path] = write_header(Qcow2Header(size)) + stored


def _error(words: str) -> Script:
    return Script(code=1, err=f"qemu-img: {words}\n".encode())
