# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a new cluster, from the options of ``gnt-cluster init``."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Collection

from ganeti.bootstrap.etcd_members import PACKAGE
from ganeti.bootstrap.init_cluster import first_policy, given_settings
from ganeti.bootstrap.store_access import StoreAccess, read_store_access
from ganeti.cli import ipolicy_options
from ganeti.cli.addresses import find_device, resolved
from ganeti.cli.command import Arguments, Document
from ganeti.cli.gnt_cluster.settings import by_name
from ganeti.cli.ipolicy_options import policy
from ganeti.cli.output import Fields
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
_ACCESS = ("etcd_endpoints", "etcd_ca", "etcd_certificate")
_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def choices(
    arguments: Arguments, host: str, problems: list[str], *, virtual: bool = False
) -> Document:
    """Return the arguments of :func:`init_cluster` for a cluster with ``host`` as its first node.

    All nodes of a ``virtual`` cluster are on this host, so that loopback addresses are allowed.
    A name that does not resolve is added to ``problems``, and its address is empty.

    :raises Invalid: with every problem of the parameters.
    :raises ExitTool: if a word is not one of its choices.
    """

    def address(given: str, name: str, option: str) -> str:
        try:
            return arguments.get(given) or resolved(name, option, family, loopback=virtual)
        except ExitTool as e:
            problems.append(str(e))
            return ""

    family = _FAMILIES[arguments.get("primary_ip_version", "4")]
    found = _settings(arguments)
    found |= {
        "cluster": arguments["cluster"],
        "address": address("master_address", arguments["cluster"], "--master-address"),
        "master_address": address("primary_ip", host, "--primary-ip"),
        "secondary_address": arguments.get("secondary_ip"),
        "primary_ip_family": int(family),
    }
    access = store_access(arguments)
    if access is not None:
        found["store"] = access
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


def store_access(arguments: Arguments) -> StoreAccess | None:
    """Return the access to the etcd of the options; None if they name none.

    :raises ExitTool: options that belong together are missing.
    """
    given = [name for name in (*_ACCESS, "automatic_failover") if name in arguments]
    if arguments.get("state_store", "file") == "file":
        if given:
            raise ExitTool(FAILURE, f"{_flag(given[0])} is for --state-store etcd only")
        return None
    if wants_own_members(arguments):
        return None
    if missing := [_flag(name) for name in _ACCESS if name not in given]:
        raise ExitTool(
            FAILURE,
            f"an etcd that runs already needs {', '.join(missing)} as well, and members of the"
            " cluster itself none of these options; see doc/etcd.md",
        )
    values = (arguments[name] for name in _ACCESS)
    return read_store_access(*values, automatic_failover=fails_over(arguments))


def wants_own_members(arguments: Arguments) -> bool:
    """Return whether the state is to be in etcd, with members that the cluster runs."""
    etcd = arguments.get("state_store", "file") == "etcd"
    return etcd and not any(name in arguments for name in _ACCESS)


def fails_over(arguments: Arguments) -> bool:
    """Return whether a candidate becomes the master when the present one is gone."""
    return bool(arguments.get("automatic_failover", True))


def require_etcd(path: str | None) -> None:
    """Check that this host can run a member; ``path`` is where programs are searched for.

    :raises ExitTool: etcd is not installed.
    """
    if shutil.which("etcd", path=path) is None:
        raise ExitTool(
            FAILURE,
            "the members of the state store run on master candidates, and etcd is not installed"
            f" here: apt-get install {PACKAGE}. To use an etcd that runs already, give"
            " --etcd-endpoints",
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _settings(arguments: Arguments) -> Document:
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


def _complete_specs(specs: Fields) -> Document:
    """Complete specs given in the older form with those of the default policy."""
    [usual] = first_policy()["minmax"]
    found: Document = {}
    if specs.keys() & {"min", "max"}:
        found["minmax"] = [{name: {**usual[name], **specs.get(name, {})} for name in usual}]
    if "std" in specs:
        found["std"] = specs["std"]
    return found


def _check_choices(
    option: str, arguments: Arguments, name: str, known: Collection[str]
) -> list[str]:
    given: list[str] = arguments[name]
    unknown = [each for each in given if each not in known]
    if unknown or not given:
        raise ExitTool(
            FAILURE, f"{option} {','.join(given)}: must be some of {', '.join(sorted(known))}"
        )
    return given
