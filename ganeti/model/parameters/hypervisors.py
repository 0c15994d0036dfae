# SPDX-License-Identifier: BSD-2-Clause
"""The hypervisors that there are; a new one is a module beside ``kvm`` and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ganeti.errors import Refused
from ganeti.model.parameters.declaration import ParameterSet
from ganeti.model.parameters.fake import Fake
from ganeti.model.parameters.kvm import Kvm

HYPERVISORS: Mapping[str, type[ParameterSet]] = MappingProxyType(
    {
        "fake": Fake,
        "kvm": Kvm,
    }
)

NEED_PORT = frozenset({"kvm"})
"""Hypervisors whose guests get a TCP port of the cluster for their graphical console."""


def driven(name: str) -> type[ParameterSet]:
    """The parameters of a hypervisor, which may be one of a configuration that was taken over.

    :raises Refused: there is no such hypervisor here.
    """
    if name not in HYPERVISORS:
        known = ", ".join(HYPERVISORS)
        raise Refused(f"this version cannot run guests with {name}; it can with: {known}")
    return HYPERVISORS[name]
