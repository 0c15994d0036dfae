# SPDX-License-Identifier: BSD-2-Clause
"""Rules for the cluster's settings, which hold when it is founded and when it is changed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ganeti.errors import Problem
from ganeti.model.disk import Template

NEEDS: Mapping[Template, str] = {
    Template.FILE: "file_storage_dir",
    Template.SHAREDFILE: "shared_file_storage_dir",
    Template.GLUSTER: "gluster_storage_dir",
    Template.PLAIN: "volume_group_name",
    Template.DRBD: "volume_group_name",
}
"""The setting that disks of a template cannot be made without."""

_FOLDERS = ("file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir")
_ADDRESSES = ("master_ip",)
_MAC_PREFIX = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){2}")
_ALLOCATOR = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*")
BUILT_IN_ALLOCATOR = "hail"
"""The allocator that need not be installed."""


def setting_problems(settings: Mapping[str, Any]) -> Iterator[Problem]:
    """Return what is wrong with settings of the cluster, as far as each can be judged alone."""
    prefix = settings.get("mac_prefix")
    if prefix is not None and not _MAC_PREFIX.fullmatch(prefix):
        rule = "must be three bytes such as aa:00:00, the first of them even"
        yield Problem("mac_prefix", rule)
    for number, pattern in enumerate(settings.get("reserved_lvs") or ()):
        try:
            re.compile(pattern)
        except re.error as e:
            yield Problem(f"reserved_lvs[{number}]", f"is no regular expression: {e}")
    for name in _FOLDERS:
        folder = settings.get(name)
        if folder and not folder.startswith("/"):
            yield Problem(name, "must be an absolute path, or empty")
    for name in _ADDRESSES:
        if settings.get(name) is not None and not is_address(settings[name]):
            yield Problem(name, f"{settings[name]} is not an address such as 192.0.2.1")
    allocator = settings.get("default_iallocator")
    if allocator and not _ALLOCATOR.fullmatch(allocator):
        yield Problem("default_iallocator", f"{allocator} cannot be the name of an allocator")
    if settings.get("candidate_pool_size", 1) < 1:
        yield Problem("candidate_pool_size", "must be a whole number >= 1")


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def missing_settings(
    templates: Sequence[Template], settings: Mapping[str, Any]
) -> Iterator[tuple[Template, str]]:
    """Return the templates that lack a setting without which their disks cannot be made."""
    for template in templates:
        needed = NEEDS.get(template)
        if needed is not None and not settings.get(needed):
            yield template, needed
