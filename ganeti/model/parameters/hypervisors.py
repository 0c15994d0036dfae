# SPDX-License-Identifier: BSD-2-Clause
"""The table of supported hypervisors; to add one, add a module beside ``kvm`` and a line here."""

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

NETWORK_PORT_HYPERVISORS = frozenset({"kvm"})
"""Hypervisors whose guests get a TCP port from the cluster's pool for a graphical console."""


def get_parameter_set(name: str) -> type[ParameterSet]:
    """Return the parameter set of a hypervisor.

    :raises Refused: the hypervisor is not supported; an imported configuration may contain such.
    """
    if name not in HYPERVISORS:
        known = ", ".join(HYPERVISORS)
        raise Refused(f"hypervisor {name} is not supported by this version; supported are: {known}")
    return HYPERVISORS[name]
