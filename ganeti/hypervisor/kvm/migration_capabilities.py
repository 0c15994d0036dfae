# SPDX-License-Identifier: BSD-2-Clause
"""The migration capabilities of QEMU that ``migration_caps`` can enable."""

from __future__ import annotations

from collections.abc import Mapping

from ganeti.errors import Invalid, Problem
from ganeti.model.parameters.kvm import Kvm

_LOSES_GUESTS = (
    "would leave the memory of a guest on two nodes: if one of them fails then, the guest is lost"
)
_NO_RDMA = "is for RDMA, and guests are sent by TCP"
_SET_BY_ITSELF = "is set by itself where it is needed"

REFUSED: Mapping[str, str] = {
    "block": "is replaced: migrate -n NODE copies disks that only their node can access",
    "dirty-bitmaps": "is not needed: the first backup after a migration is a full one",
    "late-block-activate": _SET_BY_ITSELF,
    "pause-before-switchover": _SET_BY_ITSELF,
    "postcopy-blocktime": _LOSES_GUESTS,
    "postcopy-preempt": _LOSES_GUESTS,
    "postcopy-ram": _LOSES_GUESTS,
    "rdma-pin-all": _NO_RDMA,
    "release-ram": "would free memory that a guest needs if its migration fails",
    "return-path": _SET_BY_ITSELF,
    "x-colo": "would not end the migration",
    "x-ignore-shared": "would leave memory behind",
    "zero-copy-send": "cannot be used with encryption",
}
"""Capabilities with which a migration is refused, and why."""


def list_capabilities(kvm: Kvm) -> dict[str, bool]:
    """Return the capabilities that a migration of a guest with these parameters uses.

    QEMU refuses those that it does not have.

    :raises Invalid: one of them is refused.
    """
    if found := find_problems(kvm):
        raise Invalid(found)
    return dict.fromkeys(_split(kvm), True)


def find_problems(kvm: Kvm) -> list[Problem]:
    """Return why a guest with these parameters cannot be migrated; empty if it can."""
    return [
        Problem(
            "migration_caps", f"{name} {REFUSED[name]}; a value without it takes effect at once"
        )
        for name in _split(kvm)
        if name in REFUSED
    ]


def _split(kvm: Kvm) -> list[str]:
    return [name for name in kvm.migration_caps.split(":") if name]
