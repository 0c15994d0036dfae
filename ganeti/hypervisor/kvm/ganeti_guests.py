# SPDX-License-Identifier: BSD-2-Clause
"""Guests that Ganeti has started before its cluster was taken over, and that are still running.

Ganeti keeps the files of its guests below ``/run/ganeti/kvm-hypervisor``: ``pid`` and ``ctrl`` have
the pid file and the sockets, ``conf`` the *runtime*, a list of the command line, network cards,
hypervisor parameters and disks of the start, and ``nic`` the names of tap devices.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from ganeti.errors import GanetiError
from ganeti.hypervisor.kvm.qemu_command import FIRST_VNC_PORT, Accelerator
from ganeti.hypervisor.kvm.runtime_paths import RuntimePaths
from ganeti.model.disk import DiskMode
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.declaration import plain
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.running import GANETI, RunningConfig, RunningDisk
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.types import Parameters
from ganeti.system.interfaces import IFiles

# The value may have a name, as in "-smp cpus=2".
_NUMBER = re.compile(r"(?:\w+=)?(\d+)")
_VNC_DISPLAY = re.compile(r":(\d+)(?:,|$)")


class _RuntimeNic(msgspec.Struct, kw_only=True):
    """What is read of a network card in a *runtime*."""

    mac: str
    uuid: str = ""
    nicparams: dict[str, str | None] = {}
    ip: str | None = None
    name: str | None = None


class _RuntimeDisk(msgspec.Struct, kw_only=True):
    """What is read of a disk in a *runtime*."""

    uuid: str
    mode: DiskMode = DiskMode.READ_WRITE


class GanetiGuests:
    """The files of Ganeti's guests in ``folder``."""

    def __init__(self, folder: str, files: IFiles) -> None:
        self._folder = folder
        self._files = files

    def names(self) -> Sequence[str]:
        """Return the names of guests that have a pid file; their processes may have ended."""
        return self._files.names(f"{self._folder}/pid")

    def runtime_paths(self, name: str) -> RuntimePaths:
        """Return the files of a guest."""
        control = f"{self._folder}/ctrl/{name}"
        return RuntimePaths(
            qmp=f"{control}.qmp",
            serial=f"{control}.serial",
            agent=f"{control}.qga",
            vnc=f"{control}.vnc",
            pid=f"{self._folder}/pid/{name}",
            log=f"{control}.log",
            screen=f"{control}.screen",
            seed=f"{control}.seed",
            tpm=f"{control}.tpm",
            keys=f"{control}.keys",
            others=(
                f"{control}.monitor",
                f"{control}.kvmd",
                f"{control}.shutdown",
                self._runtime(name),
                *(f"{self._nics(name)}/{each}" for each in self._files.names(self._nics(name))),
            ),
        )

    def taps(self, name: str) -> tuple[str, ...]:
        """Return the tap devices of a guest."""
        folder = self._nics(name)
        texts = (self._text(f"{folder}/{each}") for each in self._files.names(folder))
        return tuple(text.strip() for text in texts if text.strip())

    def running_config(self, name: str, arguments: Sequence[str]) -> RunningConfig | None:
        """Return the settings that a guest was started with; None if they cannot be read."""
        try:
            runtime = self._text(self._runtime(name))
            _, nics, hvparams, disks, *_ = msgspec.json.decode(runtime, type=list[msgspec.Raw])
            return RunningConfig(
                memory=memory(arguments),
                vcpus=vcpus(arguments),
                hvparams=_fill(msgspec.json.decode(hvparams, type=Parameters)),
                nics=tuple(map(_nic, msgspec.json.decode(nics, type=list[_RuntimeNic]))),
                disks=tuple(map(_disk, msgspec.json.decode(disks, type=list[list[msgspec.Raw]]))),
                network_port=_vnc_port(arguments),
                chosen={
                    "machine_version": option(arguments, "-machine").partition(",")[0],
                    "kvm_accel": _accelerator(arguments).value,
                },
                started_by=GANETI,
            )
        except (*UNREADABLE, GanetiError, IndexError, ValueError):
            # The form is not documented, and differs between versions.
            return None

    def _runtime(self, name: str) -> str:
        return f"{self._folder}/conf/{name}.runtime"

    def _nics(self, name: str) -> str:
        return f"{self._folder}/nic/{name}"

    def _text(self, path: str) -> str:
        try:
            return self._files.read(path).decode("utf-8", "replace")
        except OSError:
            return ""


def memory(arguments: Sequence[str]) -> int:
    """Return the memory of a guest in MiB, from the arguments of QEMU."""
    return _number(option(arguments, "-m"))


def vcpus(arguments: Sequence[str]) -> int:
    """Return the number of virtual processors, from the arguments of QEMU."""
    return _number(option(arguments, "-smp"))


def option(arguments: Sequence[str], name: str) -> str:
    """Return the value of an option of QEMU; empty without it."""
    return next((value for given, value in pairwise(arguments) if given == name), "")


def _number(text: str) -> int:
    found = _NUMBER.match(text)
    return int(found[1]) if found else 0


def _vnc_port(arguments: Sequence[str]) -> int | None:
    found = _VNC_DISPLAY.search(option(arguments, "-vnc"))
    return FIRST_VNC_PORT + int(found[1]) if found else None


def _accelerator(arguments: Sequence[str]) -> Accelerator:
    # Without any option, QEMU executes guests in software.
    kvm = "-enable-kvm" in arguments or "accel=kvm" in option(arguments, "-machine")
    return Accelerator.KVM if kvm else Accelerator.TCG


def _fill(hvparams: Parameters) -> Parameters:
    """Return all parameters that exist here, with the values of a guest."""
    known: Parameters = plain(Kvm())
    return {**known, **{name: value for name, value in hvparams.items() if name in known}}


def _nic(nic: _RuntimeNic) -> GuestNic:
    return GuestNic(
        uuid=nic.uuid,
        mac=nic.mac,
        mode=nic.nicparams.get("mode") or "bridged",
        link=nic.nicparams.get("link") or "",
        vlan=nic.nicparams.get("vlan") or "",
        ip=nic.ip,
        name=nic.name,
    )


def _disk(row: Sequence[msgspec.Raw]) -> RunningDisk:
    """Return a disk; a row also has the path of its device."""
    disk = msgspec.json.decode(row[0], type=_RuntimeDisk)
    return RunningDisk(uuid=disk.uuid, mode=disk.mode)


def is_guest(arguments: Sequence[str], name: str, pid_file: str) -> bool:
    """Return whether a process is the QEMU of a guest: a pid file may be old, and its pid reused.

    ``/run`` may have been given by another name.
    """
    given = option(arguments, "-pidfile")
    same = given == pid_file or given.removeprefix("/var") == pid_file.removeprefix("/var")
    # The name may have options after a comma.
    return same and option(arguments, "-name").split(",")[0] == name
