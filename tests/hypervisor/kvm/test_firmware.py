# SPDX-License-Identifier: BSD-2-Clause
"""Which UEFI firmware a node has for a guest, and what becomes of the guest's variables."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.firmware import Firmware, FirmwareVariables, find_firmware
from ganeti.testing.builders import a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles

PC, Q35 = "pc-i440fx-7.2", "pc-q35-7.2"
SECURE = ["secure-boot", "enrolled-keys", "requires-smm", "acpi-s3"]


def put(disk: MemoryDisk, path: str, content: bytes = b"x") -> None:
    disk.put(path, content, 0o644, 0)


def put_descriptor(
    disk: MemoryDisk,
    path: str,
    code: str,
    *,
    machines: tuple[str, ...] = ("pc-i440fx-*", "pc-q35-*"),
    features: list[str] | None = None,
    **over: Any,
) -> None:
    """Put a descriptor of firmware as packages have it, and the files that it names."""
    template = code.replace("CODE", "VARS")
    mapping = {
        "device": "flash",
        "executable": {"filename": code, "format": "raw"},
        "nvram-template": {"filename": template, "format": "raw"},
        **over,
    }
    descriptor = {
        "description": "UEFI firmware",
        "interface-types": ["uefi"],
        "mapping": mapping,
        "targets": [{"architecture": "x86_64", "machines": machines}],
        "features": features or ["acpi-s3"],
        "tags": [],
    }
    put(disk, path, msgspec.json.encode(descriptor))
    put(disk, code)
    put(disk, template)


class FindFirmwareTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk)
        share = "/usr/share/qemu/firmware"
        put_descriptor(
            self.disk, f"{share}/40-secure.json", "/S/CODE", machines=("pc-q35-*",), features=SECURE
        )
        put_descriptor(self.disk, f"{share}/60-plain.json", "/P/CODE")

    def found(self, kind: str, machine: str) -> str:
        return find_firmware(kind, machine, self.files).code

    def test_each_kind_has_its_own(self) -> None:
        plain = Firmware("/P/CODE", "/P/VARS")
        self.assertEqual(find_firmware("uefi", PC, self.files), plain)
        self.assertEqual(find_firmware("uefi", f"{Q35},usb=off", self.files), plain)
        secure = Firmware("/S/CODE", "/S/VARS", secure=True)
        self.assertEqual(find_firmware("uefi-secure", Q35, self.files), secure)

    def test_a_machine_type_without_firmware_is_told_of_the_package(self) -> None:
        with self.assertRaisesRegex(Refused, f"Secure Boot .* for the machine type {PC}"):
            self.found("uefi-secure", PC)
        with self.assertRaisesRegex(Refused, "no UEFI firmware .*apt-get install ovmf"):
            find_firmware("uefi", Q35, MemoryFiles(MemoryDisk()))

    def test_the_administrator_has_the_last_word(self) -> None:
        put_descriptor(self.disk, "/etc/qemu/firmware/50-own.json", "/own/CODE")
        self.assertEqual(self.found("uefi", PC), "/own/CODE")
        put(self.disk, "/etc/qemu/firmware/50-own.json", b"")
        self.assertEqual(self.found("uefi", PC), "/P/CODE")
        put(self.disk, "/etc/qemu/firmware/60-plain.json", b"")
        with self.assertRaisesRegex(Refused, "no UEFI firmware"):
            self.found("uefi", PC)

    def test_what_cannot_be_used_is_passed_over(self) -> None:
        top = "/etc/qemu/firmware"
        put(self.disk, f"{top}/1.json", b'{"of": "another format"}')
        put(self.disk, f"{top}/2.json", b"[" * 1000)
        qcow2: dict[str, Any] = {"executable": {"filename": "/Q/CODE", "format": "qcow2"}}
        put_descriptor(self.disk, f"{top}/3.json", "/Q/CODE", **qcow2)
        put_descriptor(self.disk, f"{top}/4.json", "/C/CODE", mode="combined")
        put_descriptor(self.disk, f"{top}/5.json", "/gone/CODE")
        self.disk.pop_file("/gone/VARS")
        self.assertEqual(self.found("uefi", PC), "/P/CODE")


class VariablesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.files = MemoryFiles(self.disk)
        put(self.disk, "/VARS", b"new")
        self.variables = FirmwareVariables("/lib/firmware", self.files)
        self.guest = a_guest("web1", uuid="u1")
        self.path = "/lib/firmware/u1.uefi"

    def done(self, work: Coroutine[Deferred[Any], Any, Any]) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def prepare(self, *, fresh: bool = False) -> Any:
        firmware = Firmware("/CODE", "/VARS")
        return self.variables.prepare_variables(self.guest, "uefi", firmware, fresh=fresh)

    def test_a_new_guest_gets_those_of_the_template_and_keeps_its_own(self) -> None:
        self.assertEqual(self.done(self.prepare()), self.path)
        self.assertEqual(self.files.read(self.path), b"new")
        put(self.disk, self.path, b"own")
        self.done(self.prepare())
        self.assertEqual(self.variables.read_variables(self.guest, "uefi"), b"own")

    def test_a_guest_that_arrives_brings_its_own(self) -> None:
        put(self.disk, self.path, b"of long ago")
        self.done(self.prepare(fresh=True))
        self.assertEqual(self.files.read(self.path), b"new")

    def test_those_of_another_firmware_are_refused_with_their_path(self) -> None:
        put(self.disk, self.path, b"of another size")
        begun = Deferred.fromCoroutine(self.prepare())
        said = str(self.failureResultOf(begun, Refused).value)
        self.assertIn("web1 have 15 bytes, but those of the firmware /CODE have 3", said)
        self.assertIn(f"remove {self.path} to start with new variables", said)

    def test_those_of_another_node_are_kept_for_their_kind_only(self) -> None:
        self.done(self.variables.store_variables(self.guest, "uefi", b"own"))
        read = [
            self.variables.read_variables(self.guest, each)
            for each in ("bios", "uefi", "uefi-secure")
        ]
        self.assertEqual(read, [b"", b"own", b""])
        stat = self.files.stat(self.path)
        assert stat is not None
        self.assertEqual(stat.mode, 0o600)

    def test_nothing_is_left_of_a_guest_that_is_removed(self) -> None:
        for kind in ("uefi", "uefi-secure"):
            self.done(self.variables.store_variables(self.guest, kind, b"own"))
        for _ in range(2):
            self.done(self.variables.remove_variables(self.guest))
        self.assertEqual(self.files.names("/lib/firmware"), [])
