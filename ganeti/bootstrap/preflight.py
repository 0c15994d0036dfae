# SPDX-License-Identifier: BSD-2-Clause
"""Checks of a host before a cluster is created on it, all of them before anything is changed."""

from __future__ import annotations

import errno
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from ganeti.bootstrap.free_space import Space, describe_shortage
from ganeti.config.initial_state import HELPER as DRBD_HELPER
from ganeti.config.initial_state import default_parameters
from ganeti.model.disk import Template
from ganeti.model.parameters.kvm import Kvm
from ganeti.paths import NODED_PORT, RAPI_PORT, Paths
from ganeti.storage.drbd.status_parsers import HELPER as LOADED_HELPER
from ganeti.storage.drbd.status_parsers import describe_loading, objection

_EARLIEST = 1_767_225_600  # 2026-01-01: a clock before it has not been set
_PORTS = {NODED_PORT: "ganeti-noded", RAPI_PORT: "ganeti-rapi"}


class _Nic(msgspec.Struct, frozen=True):
    """The default network card of instances."""

    mode: str
    link: str


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks read of the arguments of ``init_cluster``."""

    master: str
    master_address: str
    secondary_address: str | None = None
    master_netdev: str = ""
    hypervisors: tuple[str, ...] = ("kvm",)
    templates: tuple[Template, ...] = ()
    volume_group_name: str | None = None
    drbd_usermode_helper: str | None = None
    nicparams: dict[str, _Nic]
    hvparams: dict[str, dict[str, object]]


class IHost(Protocol):
    """What is asked of the host."""

    def bind(self, address: str, port: int) -> int:
        """Return 0 if a daemon could listen there, otherwise the error number."""

    def exists(self, path: str) -> bool:
        """Return whether there is such a file or folder."""

    def program(self, name: str) -> bool:
        """Return whether there is such a program, by its path or in the usual folders."""

    def read(self, path: str) -> str | None:
        """Return the text of a file; None if it does not exist."""

    def devices(self) -> Sequence[str]:
        """Return the names of the network devices."""

    def volume_groups(self) -> Sequence[str] | None:
        """Return the names of the volume groups; None without lvm2."""

    def space(self, folder: str) -> Space:
        """Return the space of the file system that has a folder, or will have it."""

    def now(self) -> float:
        """Return the time in seconds since the epoch."""


def find_problems(chosen: Mapping[str, object], host: IHost) -> Iterator[str]:
    """Yield what would keep the cluster from working on this host, each with its remedy.

    ``chosen`` are the arguments of :func:`ganeti.bootstrap.init_cluster.init_cluster`. An address
    that could not be found is empty, and was reported already.
    """
    plan = msgspec.convert({**default_parameters(), **chosen}, _Plan)
    if host.now() < _EARLIEST:
        yield (
            "the clock of this host has not been set, so that its certificates would not be valid;"
            " set it, for example by installing chrony or systemd-timesyncd"
        )
    for folder in (Paths().data, Paths().log):
        if shortage := describe_shortage(folder, host.space(folder)):
            yield shortage
    yield from _address_problems(plan, host)
    yield from _device_problems(plan, host)
    yield from _storage_problems(plan, host)
    if "kvm" in plan.hypervisors:
        yield from _kvm_problems(plan.hvparams.get("kvm", {}), host)


def format_problems(problems: Sequence[str]) -> str:
    """Return the message that lists all problems."""
    if len(problems) == 1:
        return problems[0]
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return f"this host is not ready for the cluster, and nothing was changed on it:{lines}"


def _address_problems(plan: _Plan, host: IHost) -> Iterator[str]:
    options = {"--primary-ip": plan.master_address, "--secondary-ip": plan.secondary_address}
    for option, address in options.items():
        # Only addresses of this host can be bound.
        if address and host.bind(address, 0) != 0:
            yield (
                f"no network device of this host has the address {address} of"
                f" {plan.master}; configure it, or give another one with {option} ADDRESS"
            )
        elif address and option == "--primary-ip":
            for port, daemon in _PORTS.items():
                # Other errors say nothing about the port.
                if host.bind(address, port) == errno.EADDRINUSE:
                    yield (
                        f"port {port} of {address}, on which {daemon} listens, is in use; stop the"
                        f" program that uses it (ss -ltnp 'sport = :{port}' shows it)"
                    )


def _device_problems(plan: _Plan, host: IHost) -> Iterator[str]:
    devices = host.devices()
    device = plan.master_netdev
    if device and device not in devices:
        yield (
            f"there is no network device {device} for the address of the cluster; give one of"
            f" {', '.join(devices)} with --master-netdev"
        )
    nic = plan.nicparams["default"]
    if set(plan.hypervisors) == {"fake"} or nic.mode not in ("bridged", "openvswitch"):
        return
    link = nic.link
    if link not in devices:
        yield (
            f"there is no bridge {link} for the network cards of instances; create it (ip link add"
            f" {link} type bridge, and in the network configuration of this host), name another one"
            " with --nic-parameters link=BRIDGE, or use --nic-parameters mode=routed"
        )
    elif nic.mode == "bridged" and not host.exists(f"/sys/class/net/{link}/bridge"):
        yield (
            f"network device {link} is not a bridge, so that network cards of instances cannot be"
            " attached to it; name a bridge with --nic-parameters link=BRIDGE"
        )


def _storage_problems(plan: _Plan, host: IHost) -> Iterator[str]:
    group = plan.volume_group_name
    if group:
        groups = host.volume_groups()
        if groups is None:
            yield (
                f"volume group {group} cannot be used, as lvm2 is not installed: apt-get install"
                " lvm2"
            )
        elif group not in groups:
            others = f"; this host has {', '.join(groups)}" if groups else ""
            yield (
                f"there is no volume group {group}; create it with vgcreate {group} DEVICE, or name"
                f" another one with --vg-name{others}"
            )
    if Template.DRBD in plan.templates:
        yield from _drbd_problems(plan.drbd_usermode_helper or DRBD_HELPER, host)


def _drbd_problems(wanted: str, host: IHost) -> Iterator[str]:
    if not host.program("drbdsetup"):
        yield "mirrored disks need drbdsetup, which is not installed: apt-get install drbd-utils"
    loaded = host.read(LOADED_HELPER)
    if loaded is None:
        yield f"DRBD is not loaded; {describe_loading(wanted)}"
    elif why := objection(loaded.strip()):
        yield why
    elif loaded.strip() != wanted:
        yield (
            f"DRBD's usermode helper is {loaded.strip()}, not {wanted}; give it with"
            f" --drbd-usermode-helper, or replace it: echo {wanted} > {LOADED_HELPER}"
        )


def _kvm_problems(parameters: Mapping[str, object], host: IHost) -> Iterator[str]:
    kvm_path = str(parameters.get("kvm_path", Kvm().kvm_path))
    system = f"qemu-system-{platform.machine()}"
    if not host.program(kvm_path) and not host.program(system):
        yield (
            f"QEMU is not installed: neither {kvm_path} nor {system} exists; on"
            " Debian: apt-get install qemu-system-x86 (or the package of this architecture)"
        )
    if parameters.get("kvm_accel") == "kvm" and not host.exists("/dev/kvm"):
        yield (
            "/dev/kvm does not exist, so that guests cannot use KVM; enable virtualization in the"
            " firmware and load kvm_intel or kvm_amd, or have guests executed in software with"
            " --hypervisor-parameters kvm:kvm_accel=tcg"
        )
