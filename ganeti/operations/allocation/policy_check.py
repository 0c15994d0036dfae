# SPDX-License-Identifier: BSD-2-Clause
"""Whether an instance is of a size that its node group takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template


@dataclass(frozen=True)
class PolicySize:
    """The size of an instance in every respect that policies bound; memory and disks in MiB."""

    memory: int
    vcpus: int
    disks: Sequence[int]
    nics: int
    spindles: int
    template: Template


def require_policy(size: PolicySize, policy: Mapping[str, Any], name: str) -> None:
    """Refuse a size that fits into none of the ranges of ``policy``, all filled in.

    :raises Refused: with everything that is out of bounds of the range that comes nearest.
    """
    broken = violations(size, policy)
    if broken:
        raise Refused(
            f"instance {name} breaks the instance policy: {'; '.join(broken)}; "
            "change its size, or use --ignore-ipolicy",
            Code.INPUT,
        )


def violations(size: PolicySize, policy: Mapping[str, Any]) -> list[str]:
    """What keeps an instance of this size out; nothing if it may come in."""
    allowed = [str(template) for template in policy["disk-templates"]]
    found = []
    if size.template.value not in allowed:
        found.append(f"disk template {size.template.value} is not one of {', '.join(allowed)}")
    ranges = [list(_outside(size, bounds)) for bounds in policy["minmax"]]
    return found + min(ranges, key=len, default=[])


def _outside(size: PolicySize, bounds: Mapping[str, Any]) -> Iterator[str]:
    if size.template is Template.DISKLESS:
        disks: list[tuple[str, int, str]] = []
    else:
        disks = [("disk-count", len(size.disks), "disks")]
        disks += [("disk-size", each, "MiB of disk") for each in size.disks]
    values = [
        ("memory-size", size.memory, "MiB of memory"),
        ("cpu-count", size.vcpus, "virtual processors"),
        ("nic-count", size.nics, "network cards"),
        ("spindle-use", size.spindles, "spindles"),
        *disks,
    ]
    for name, value, what in values:
        least, most = bounds["min"][name], bounds["max"][name]
        if not least <= value <= most:
            yield f"{value} {what} is not from {least} to {most}"
