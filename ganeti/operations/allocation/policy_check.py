# SPDX-License-Identifier: BSD-2-Clause
"""Check of an instance's size against the instance policy of a node group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.parameters.policy import Policy, Range


@dataclass(frozen=True)
class PolicySize:
    """The values of an instance that policies limit; memory and disks in MiB."""

    memory: int
    vcpus: int
    disks: Sequence[int]
    nics: int
    spindles: int
    template: Template


def check_policy(size: PolicySize, policy: Policy, name: str) -> None:
    """Check that ``size`` fits into one of the ranges of ``policy``, an effective policy.

    :raises Refused: with all violations of the range with the fewest ones.
    """
    broken = violations(size, policy)
    if broken:
        raise Refused(
            f"instance {name} violates the instance policy: {'; '.join(broken)}; "
            "change its size, or use --ignore-ipolicy",
            Code.INPUT,
        )


def violations(size: PolicySize, policy: Policy) -> list[str]:
    """Return the violations of the policy by an instance of this size."""
    allowed = [template.value for template in policy.disk_templates]
    found = []
    if size.template.value not in allowed:
        found.append(
            f"disk template {size.template.value} is not allowed; allowed are {', '.join(allowed)}"
        )
    ranges = [list(_find_out_of_range(size, bounds)) for bounds in policy.minmax]
    return found + min(ranges, key=len, default=[])


def _find_out_of_range(size: PolicySize, bounds: Range) -> Iterator[str]:
    if size.template is Template.DISKLESS:
        disks: list[tuple[str, int, str]] = []
    else:
        disks = [("disk_count", len(size.disks), "disks")]
        disks += [("disk_size", each, "MiB of disk") for each in size.disks]
    values = [
        ("memory_size", size.memory, "MiB of memory"),
        ("cpu_count", size.vcpus, "virtual processors"),
        ("nic_count", size.nics, "network cards"),
        ("spindle_use", size.spindles, "spindles"),
        *disks,
    ]
    for name, value, what in values:
        least, most = getattr(bounds.min, name), getattr(bounds.max, name)
        if not least <= value <= most:
            yield f"{value} {what} is outside the range {least} to {most}"
