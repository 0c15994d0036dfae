# SPDX-License-Identifier: BSD-2-Clause
"""The UEFI firmware of a node, and the variables that it keeps for each guest.

Firmware is found by the descriptors of its packages, a standard of QEMU
(docs/interop/firmware.json there): JSON files whose names sort the preferred ones first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.model.guest import Guest
from ganeti.model.parameters.kvm import BIOS, UEFI, UEFI_SECURE, Kvm
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles

_FOLDERS = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")
"""Where descriptors are: one in an earlier folder hides those of the same name in later ones."""

_ARCHITECTURE = "x86_64"
_SECURE = frozenset({"secure-boot", "enrolled-keys", "requires-smm"})
"""The features of firmware that boots only what is signed, by keys that it has from the start, and
whose settings the guest's system cannot write."""


@dataclass(frozen=True)
class Firmware:
    """The files of a UEFI firmware: its code, and the variables that a new guest gets.

    With ``secure``, only the firmware may write variables, which needs system management mode.
    """

    code: str
    template: str
    secure: bool = False


_TPM = "tpm2"
"""The name of a TPM's state, as UEFI variables have the name of their firmware."""


class _Bundle(msgspec.Struct):
    """What is kept for a guest with a TPM, as nodes send it to each other.

    Without a TPM, they send the variables as they are.
    """

    uefi: bytes = b""
    tpm: bytes = b""


class _Image(msgspec.Struct):
    filename: str
    format: str = "raw"


class _Mapping(msgspec.Struct, rename="kebab"):
    device: str
    mode: str = "split"
    executable: _Image | None = None
    nvram_template: _Image | None = None


class _Target(msgspec.Struct):
    architecture: str
    machines: list[str]


class _Descriptor(msgspec.Struct, rename="kebab"):
    interface_types: list[str]
    mapping: _Mapping
    targets: list[_Target]
    features: list[str]


def find_firmware(kind: str, machine: str, files: IFiles) -> Firmware:
    """Return the firmware of this node for a versioned machine type.

    :raises Refused: it has none of this kind.
    """
    machine = machine.partition(",")[0]
    for descriptor in _read_descriptors(files):
        firmware = _match(descriptor, kind, machine)
        if firmware and files.stat(firmware.code) and files.stat(firmware.template):
            return firmware
    what = "UEFI firmware with Secure Boot and its keys" if kind == UEFI_SECURE else "UEFI firmware"
    raise Refused(
        f"this node has no {what} for the machine type {machine}: install it (on Debian: apt-get"
        " install ovmf)",
        Code.ENVIRONMENT,
    )


def _read_descriptors(files: IFiles) -> Iterator[_Descriptor]:
    found: dict[str, str] = {}
    for folder in _FOLDERS:
        for name in files.names(folder):
            if name.endswith(".json"):
                found.setdefault(name, f"{folder}/{name}")
    for _, path in sorted(found.items()):
        try:
            # An empty file only hides another one.
            if content := files.read(path):
                yield msgspec.json.decode(content, type=_Descriptor)
        except (OSError, *UNREADABLE):
            # Other programs have written it, perhaps for a newer QEMU.
            continue


def _match(descriptor: _Descriptor, kind: str, machine: str) -> Firmware | None:
    """Return the firmware that a descriptor is about, if it is one of this kind."""
    mapping, features = descriptor.mapping, frozenset(descriptor.features)
    code, template = mapping.executable, mapping.nvram_template
    if code is None or template is None or (code.format, template.format) != ("raw", "raw"):
        return None
    suits = features >= _SECURE if kind == UEFI_SECURE else not _SECURE & features
    fits = any(
        each.architecture == _ARCHITECTURE
        and any(fnmatchcase(machine, pattern) for pattern in each.machines)
        for each in descriptor.targets
    )
    if not suits or not fits or "uefi" not in descriptor.interface_types:
        return None
    if (mapping.device, mapping.mode) != ("flash", "split"):
        return None
    return Firmware(code.filename, template.filename, kind == UEFI_SECURE)


class FirmwareVariables:
    """The files with the UEFI variables of this node's guests and the state of their TPMs, in
    ``folder``.

    QEMU writes them while a guest runs. They are named by UUID, so that a guest may be renamed, and
    by kind of firmware: variables without keys would turn Secure Boot off.
    """

    _log = Logger()

    def __init__(self, folder: str, files: IFiles) -> None:
        self._folder = folder
        self._files = files

    async def prepare_variables(
        self, guest: Guest, kind: str, firmware: Firmware, *, fresh: bool
    ) -> str:
        """Return the path of a guest's variables, which are made from the template if missing.

        With ``fresh``, they are made in any case, as a migration brings their content.

        :raises Refused: they are those of another firmware.
        """
        path = self._variables_path(guest, kind)
        found, template = self._files.stat(path), self._files.stat(firmware.template)
        size = template.size if template else 0
        if found is None or fresh:
            self._log.info(
                "instance {name} gets new UEFI variables from {template}",
                name=guest.name,
                template=firmware.template,
            )
            await self._write_variables(path, self._files.read(firmware.template))
        elif found.size != size:
            raise Refused(
                f"the UEFI variables of instance {guest.name} have {found.size} bytes, but those of"
                f" the firmware {firmware.code} have {size}: install the firmware that it had"
                f" before, or remove {path} to start with new variables"
            )
        return path

    async def prepare_tpm(self, guest: Guest, *, fresh: bool) -> str:
        """Return the path of the state of a guest's TPM, which is empty if it is a new one.

        With ``fresh``, it is new in any case, as a migration brings the state.
        """
        path = self._variables_path(guest, _TPM)
        if fresh or self._files.stat(path) is None:
            self._log.info("instance {name} gets a new TPM", name=guest.name)
            await self._write_variables(path, b"")
        return path

    def read_state(self, guest: Guest, kvm: Kvm) -> bytes:
        """Return all that is kept for a guest with these parameters; empty if that is nothing."""
        uefi = self.read_variables(guest, kvm.kvm_firmware)
        if not kvm.kvm_tpm:
            return uefi
        path = self._variables_path(guest, _TPM)
        tpm = self._files.read(path) if self._files.stat(path) else b""
        return msgspec.json.encode(_Bundle(uefi=uefi, tpm=tpm)) if uefi or tpm else b""

    async def store_state(self, guest: Guest, kvm: Kvm, content: bytes) -> None:
        """Keep what another node has read for a guest with these parameters.

        :raises Invalid: it is damaged.
        """
        if not kvm.kvm_tpm:
            await self.store_variables(guest, kvm.kvm_firmware, content)
            return
        try:
            bundle = msgspec.json.decode(content, type=_Bundle)
        except UNREADABLE as error:
            raise Invalid([Problem("content", f"is damaged: {error}")]) from error
        if bundle.uefi:
            await self.store_variables(guest, kvm.kvm_firmware, bundle.uefi)
        await self._write_variables(self._variables_path(guest, _TPM), bundle.tpm)

    def read_variables(self, guest: Guest, kind: str) -> bytes:
        """Return the variables of a guest; empty if this node has none."""
        path = self._variables_path(guest, kind)
        return self._files.read(path) if kind != BIOS and self._files.stat(path) else b""

    async def store_variables(self, guest: Guest, kind: str, content: bytes) -> None:
        """Keep variables that another node had; the BIOS has none."""
        if kind == BIOS:
            return
        await self._write_variables(self._variables_path(guest, kind), content)

    async def remove_variables(self, guest: Guest) -> None:
        """Remove all variables of a guest and the state of its TPM; succeed if there are none.

        :raises Failed: they cannot be removed.
        """
        try:
            for kind in (UEFI, UEFI_SECURE, _TPM):
                await self._files.remove(self._variables_path(guest, kind))
        except OSError as error:
            raise Failed(
                f"the firmware state of instance {guest.name} cannot be removed: {error}",
                Code.ENVIRONMENT,
            ) from error

    async def _write_variables(self, path: str, content: bytes) -> None:
        try:
            await self._files.make_folder(self._folder, mode=0o700)
            await self._files.replace(path, content, mode=0o600)
        except OSError as error:
            raise Failed(
                f"the state of firmware cannot be written to {path}: {error}", Code.ENVIRONMENT
            ) from error

    def _variables_path(self, guest: Guest, kind: str) -> str:
        return f"{self._folder}/{guest.uuid}.{kind}"
