# SPDX-License-Identifier: BSD-2-Clause
"""Rules for cluster settings, for init, modification and import alike.

Founding a cluster and changing one both ask here; types are checked where requests are read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ganeti.errors import Problem
from ganeti.model.disk import Template
from ganeti.schema.types import Value

BUILT_IN_ALLOCATOR = "hail"
"""The name of the built-in allocator, which need not be installed."""

NEEDS: Mapping[Template, str] = {
    Template.FILE: "file_storage_dir",
    Template.SHAREDFILE: "shared_file_storage_dir",
    Template.GLUSTER: "gluster_storage_dir",
    Template.PLAIN: "volume_group_name",
    Template.DRBD: "volume_group_name",
}
"""The cluster setting that a template requires."""

_MAC_PREFIX = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){2}")
_DEVICE = re.compile(r"[^/\s]{1,15}")
"""A valid name of a Linux network device (IFNAMSIZ)."""
_VOLUME_GROUP = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}")
"""A valid name by lvm(8), section VALID NAMES."""
_ALLOCATOR = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")
_BITS = {False: 32, True: 128}
_MAX_USER = (1 << 32) - 2
"""The highest user ID: the next one stands for none in system calls such as chown(2)."""

NO_USER_POOL = (
    "pool needs user IDs for guests, and the cluster has none: give it some by --uid-pool"
    " FIRST-LAST (gnt-cluster init, gnt-cluster modify)"
)


_ADDRESS = "must be an IP address such as 192.0.2.1"


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_path_or_unset(value: str | None) -> bool:
    return not value or value.startswith("/")


_RULES: Mapping[str, tuple[Callable[[Any], object], str]] = MappingProxyType(
    {
        "candidate_pool_size": (lambda size: size >= 1, "must be at least 1"),
        "default_iallocator": (
            lambda name: not name or _ALLOCATOR.fullmatch(name),
            "must be a valid iallocator name, or empty",
        ),
        "drbd_usermode_helper": (_is_path_or_unset, "must be an absolute path, or empty"),
        "file_storage_dir": (_is_path_or_unset, "must be an absolute path, or empty"),
        "gluster_storage_dir": (_is_path_or_unset, "must be an absolute path, or empty"),
        "mac_prefix": (
            _MAC_PREFIX.fullmatch,
            "must be three bytes such as aa:00:00, with an even first byte",
        ),
        "master_netdev": (
            _DEVICE.fullmatch,
            "must be the name of a network device, with at most 15 characters",
        ),
        "master_ip": (lambda text: text is None or is_address(text), _ADDRESS),
        "uid_pool": (
            lambda ranges: all(0 < first <= last <= _MAX_USER for first, last in ranges),
            f"must be ranges of user IDs from 1 to {_MAX_USER}; 0 is root, and has all powers",
        ),
        "shared_file_storage_dir": (_is_path_or_unset, "must be an absolute path, or empty"),
        "volume_group_name": (
            lambda name: not name or _VOLUME_GROUP.fullmatch(name),
            "must be the name of a volume group: letters, digits and + _ . -, or empty",
        ),
    }
)


def setting_problems(settings: Mapping[str, Value], *, ipv6: bool) -> Iterator[Problem]:
    """Return what is wrong with settings of a cluster whose nodes have IPv6 addresses or not.

    ``settings`` are fields of the cluster's record, of which only some need be there.
    """
    for name, (is_right, message) in _RULES.items():
        if name in settings and not is_right(settings[name]):
            yield Problem(name, message)
    bits = _BITS[ipv6]
    if not 1 <= settings.get("master_netmask", bits) <= bits:
        yield Problem("master_netmask", f"must be a prefix length from 1 to {bits}")
    for number, pattern in enumerate(settings.get("reserved_lvs") or ()):
        try:
            re.compile(pattern)
        except re.error as e:
            yield Problem(f"reserved_lvs[{number}]", f"is not a valid regular expression: {e}")


def lacks_user_pool(hvparams: Mapping[str, Value], pool: Sequence[object]) -> bool:
    """Return whether guests with these parameters need user IDs, and the cluster has none."""
    return hvparams.get("security_model") == "pool" and not pool


def missing_settings(
    templates: Sequence[Template], settings: Mapping[str, Value]
) -> Iterator[tuple[Template, str]]:
    """Return the templates whose required cluster setting is missing."""
    for template in templates:
        needed = NEEDS.get(template)
        if needed is not None and not settings.get(needed):
            yield template, needed
