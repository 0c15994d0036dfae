# SPDX-License-Identifier: BSD-2-Clause
"""The environment variables of OS definition scripts, as existing definitions read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.model.disk import Disk, Template
from ganeti.model.guest import Guest, GuestNetwork, GuestNic
from ganeti.node.oses import WITH_VARIANTS, api_version
from ganeti.rpc.node import OSDefinitionReport
from ganeti.schema.types import Parameters

PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
_IN_FILES = frozenset({Template.FILE, Template.SHAREDFILE, Template.GLUSTER})


def build_os_environment(
    definition: OSDefinitionReport, os: str, osparams: Parameters, debug: int = 0
) -> dict[str, str]:
    """Return the variables for the OS; ``os`` is ``name`` or ``name+variant``."""
    api = api_version(definition)
    variant = ""
    if api >= WITH_VARIANTS:
        variant = os.partition("+")[2] or next(iter(definition.variants), "")
    parameters = {
        f"OSP_{name.upper().replace('-', '_')}": _format_value(value)
        for name, value in osparams.items()
    }
    return {
        "PATH": PATH,
        "OS_API_VERSION": str(api),
        "OS_NAME": definition.name,
        "OS_VARIANT": variant,
        "DEBUG_LEVEL": str(debug),
        **parameters,
    }


def build_guest_environment(
    definition: OSDefinitionReport, guest: Guest, paths: Sequence[str], debug: int = 0
) -> dict[str, str]:
    """Return all variables for a guest whose disks are at ``paths``."""
    found = build_os_environment(definition, guest.os, guest.osparams, debug) | {
        "INSTANCE_OS": guest.os,
        "INSTANCE_NAME": guest.name,
        "INSTANCE_UUID": guest.uuid,
        "INSTANCE_CTIME": str(guest.ctime),
        "INSTANCE_MTIME": str(guest.mtime),
        "INSTANCE_PRIMARY_NODE": guest.primary,
        "INSTANCE_SECONDARY_NODES": " ".join(guest.secondaries),
        "HYPERVISOR": guest.hypervisor,
        "DISK_COUNT": str(len(guest.disks)),
        "NIC_COUNT": str(len(guest.nics)),
    }
    for index, (disk, path) in enumerate(zip(guest.disks, paths, strict=True)):
        found |= _prefix_values(f"DISK_{index}_", _disk_values(disk, path, guest.hvparams))
    for index, nic in enumerate(guest.nics):
        found |= _prefix_values(f"NIC_{index}_", _nic_values(nic, guest.hvparams))
    found |= {f"INSTANCE_BE_{name}": _format_value(value) for name, value in guest.beparams.items()}
    found |= {f"INSTANCE_HV_{name}": _format_value(value) for name, value in guest.hvparams.items()}
    return found


def build_disk_environment(kind: str, index: int, path: str) -> dict[str, str]:
    """Return the variables for an exported or imported disk; ``kind`` is EXPORT or IMPORT."""
    return {f"{kind}_INDEX": str(index), f"{kind}_DISK_PATH": path, f"{kind}_DEVICE": path}


def _disk_values(disk: Disk, path: str, hvparams: Parameters) -> Mapping[str, str | None]:
    in_files = disk.dev_type in _IN_FILES
    return {
        "ACCESS": disk.mode.value,
        "UUID": disk.uuid,
        "NAME": disk.name,
        "SIZE": str(disk.size),
        "PATH": path,
        "FRONTEND_TYPE": hvparams.get("disk_type"),
        "BACKEND_TYPE": f"file:{disk.logical_id[0]}" if in_files else "block",
    }


def _nic_values(nic: GuestNic, hvparams: Parameters) -> dict[str, str | None]:
    return {
        "MAC": nic.mac,
        "UUID": nic.uuid,
        "MODE": nic.mode,
        "NAME": nic.name,
        "IP": nic.ip,
        "LINK": nic.link or None,
        "BRIDGE": nic.link if nic.mode == "bridged" else None,
        "FRONTEND_TYPE": hvparams.get("nic_type"),
        **(_network_values(nic.network) if nic.network else {}),
    }


def _network_values(network: GuestNetwork) -> dict[str, str | None]:
    return {
        "NETWORK_NAME": network.name,
        "NETWORK_UUID": network.uuid,
        "NETWORK_TAGS": " ".join(network.tags),
        "NETWORK_SUBNET": network.subnet or None,
        "NETWORK_GATEWAY": network.gateway or None,
        "NETWORK_SUBNET6": network.subnet6 or None,
        "NETWORK_GATEWAY6": network.gateway6 or None,
        "NETWORK_MAC_PREFIX": network.mac_prefix or None,
    }


def _prefix_values(prefix: str, values: Mapping[str, str | None]) -> dict[str, str]:
    """Return the variables that have a value, with ``prefix`` before their names."""
    return {f"{prefix}{name}": value for name, value in values.items() if value is not None}


def _format_value(value: object) -> str:
    return "" if value is None else str(value)
