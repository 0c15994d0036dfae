# SPDX-License-Identifier: BSD-2-Clause
"""The initial RAM disk of the OS definition mini is an archive as kernels unpack it."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase


def tool() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "mini_initrd.py"
    spec = importlib.util.spec_from_file_location("mini_initrd", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unpacked(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """The names in a cpio archive (newc) with their modes and contents."""
    data, found, at = gzip.decompress(archive), {}, 0
    while True:
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) // 4 * 4
        found[name] = fields[1], data[start : start + fields[6]]
        at = (start + fields[6] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found


class InitrdTests(SynchronousTestCase):
    def test_it_holds_busybox_init_and_modules(self) -> None:
        made = unpacked(tool().archive(b"\x7fELF", [("a.ko", b"A"), ("b.ko", b"B")]))
        self.assertEqual(made["bin/busybox"], (0o100755, b"\x7fELF"))
        self.assertEqual(made["modules/order"], (0o100644, b"a.ko\nb.ko\n"))
        self.assertEqual(made["dev/console"], (0o020600, b""))
        self.assertTrue(made["init"][1].startswith(b"#!/bin/busybox sh\n"))

    def test_that_of_a_virtual_host_has_another_init(self) -> None:
        mini = tool()
        made = unpacked(mini.archive(b"b", [], mini.HOST_INIT))
        self.assertEqual(made["init"], (0o100755, mini.HOST_INIT.encode()))

    def test_a_virtual_node_gives_its_modules_their_parameters(self) -> None:
        mini = tool()
        loaded = [("drbd.ko", b"D"), ("dm_mod.ko", b"M")]
        made = unpacked(mini.archive(b"b", loaded, mini.NODE_INIT, mini.NODE_MODULES))
        parameters = b"minor_count=128 usermode_helper=/bin/true"
        self.assertEqual(made["modules/order"][1], b"drbd.ko " + parameters + b"\ndm_mod.ko\n")

    def test_modules_come_after_what_they_need(self) -> None:
        folder = Path(self.mktemp())
        (folder / "drivers").mkdir(parents=True)
        for name, needs in {"virtio-ring": "", "virtio": "virtio-ring", "blk": "virtio"}.items():
            content = f"\0depends={needs}\0name={name}\0".encode()
            (folder / "drivers" / f"{name}.ko").write_bytes(content)
        names = [name for name, _ in tool().modules(folder, ["blk", "missing", "virtio"])]
        self.assertEqual(names, ["virtio_ring.ko", "virtio.ko", "blk.ko"])

    def test_the_same_content_makes_the_same_file(self) -> None:
        first, second = (tool().archive(b"b", [("a.ko", b"A")]) for _ in range(2))
        self.assertEqual(first, second)
