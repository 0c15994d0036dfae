# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a new cluster, from the options of ``gnt-cluster init``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from ganeti.bootstrap.init_cluster import first_policy, given_settings
from ganeti.cli import ipolicy_options
from ganeti.cli.addresses import find_device, resolved
from ganeti.cli.command import Arguments
from ganeti.cli.gnt_cluster.actions import by_name
from ganeti.cli.ipolicy_options import policy
from ganeti.cli.session import FAILURE, ExitTool
from ganeti.model.disk import Template
from ganeti.model.parameters.hypervisors import HYPERVISORS

_UNCHANGED = (
    *("candidate_pool_size", "default_iallocator", "default_iallocator_params"),
    *("enabled_user_shutdown", "file_storage_dir", "gluster_storage_dir", "install_image"),
    *("mac_prefix", "maintain_node_health", "master_netdev", "modify_etc_hosts"),
    *("prealloc_wipe_disks", "shared_file_storage_dir", "ssh_key_bits", "ssh_key_type"),
    *("use_external_mip_script", "zeroing_image"),
)
_RENAMED = {
    "vg_name": "volume_group_name",
    "drbd_helper": "drbd_usermode_helper",
}
_DEFAULT_DEVICE = "br0"
"""The device of the cluster's address if no device has the address of the node."""
_PARAMETERS = ("beparams", "nicparams", "ndparams")
_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def choices(arguments: Arguments, host: str, *, virtual: bool = False) -> dict[str, Any]:
    """Return the arguments of :func:`init_cluster` for a cluster with ``host`` as its first node.

    All nodes of a ``virtual`` cluster are on this host, so that loopback addresses are allowed.

    :raises Invalid: with every problem of the parameters.
    :raises ExitTool: if a name does not resolve, or a word is not one of its choices.
    """
    family = _FAMILIES[arguments.get("primary_ip_version", "4")]
    found = _settings(arguments)
    found |= {
        "cluster": arguments["cluster"],
        "address": arguments.get("master_address")
        or resolved(arguments["cluster"], "--master-address", family, loopback=virtual),
        "master_address": arguments.get("primary_ip")
        or resolved(host, "--primary-ip", family, loopback=virtual),
        "secondary_address": arguments.get("secondary_ip"),
        "primary_ip_family": int(family),
    }
    if "master_netdev" not in arguments:
        found["master_netdev"] = find_device(found["master_address"]) or _DEFAULT_DEVICE
    if "hypervisors" in arguments:
        found["hypervisors"] = _check_choices(
            "--enabled-hypervisors", arguments, "hypervisors", HYPERVISORS
        )
    if "templates" in arguments:
        named = _check_choices("--enabled-disk-templates", arguments, "templates", set(Template))
        found["templates"] = [Template(each) for each in named]
    return found


def _settings(arguments: Arguments) -> dict[str, Any]:
    found = {name: arguments[name] for name in _UNCHANGED if name in arguments}
    found |= {new: arguments[old] for old, new in _RENAMED.items() if old in arguments}
    if "compression_tools" in arguments:
        found["compression_tools"] = tuple(arguments["compression_tools"])
    if "uid_pool" in arguments:
        found["uid_pool"] = tuple(map(tuple, arguments["uid_pool"]))
    if "master_netmask" in arguments:
        found["master_netmask"] = arguments["master_netmask"]
    for name in ("hv_state", "disk_state"):
        if name in arguments:
            found[f"{name}_static"] = by_name(arguments[name])
    given = {name: arguments[name] for name in _PARAMETERS if name in arguments}
    given |= {
        name: dict(arguments[name]) for name in ("hvparams", "diskparams") if name in arguments
    }
    limits = policy(arguments) | _complete_specs(ipolicy_options.older(arguments))
    if limits:
        given["ipolicy"] = limits
    return found | given_settings(given)


def _complete_specs(specs: Mapping[str, Any]) -> dict[str, Any]:
    """Complete specs given in the older form with those of the default policy."""
    [usual] = first_policy()["minmax"]
    found: dict[str, Any] = {}
    if specs.keys() & {"min", "max"}:
        found["minmax"] = [{name: {**usual[name], **specs.get(name, {})} for name in usual}]
    if "std" in specs:
        found["std"] = specs["std"]
    return found


def _check_choices(option: str, arguments: Arguments, name: str, known: Any) -> list[str]:
    given: list[str] = arguments[name]
    unknown = [each for each in given if each not in known]
    if unknown or not given:
        raise ExitTool(
            FAILURE, f"{option} {','.join(given)}: must be some of {', '.join(sorted(known))}"
        )
    return given
