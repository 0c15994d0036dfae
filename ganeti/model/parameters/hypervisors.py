# SPDX-License-Identifier: BSD-2-Clause
"""The hypervisors that there are; a new one is a module beside ``kvm`` and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
