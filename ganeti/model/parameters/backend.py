# SPDX-License-Identifier: BSD-2-Clause
"""Backend parameters, which do not depend on the hypervisor: memory, processors, balancing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from ganeti.errors import Problem
from ganeti.model.parameters.declaration import ParameterSet, Size
from ganeti.schema.records import doc
from ganeti.schema.types import Count, Positive


class Backend(ParameterSet):
    """The backend parameters of an instance."""

    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {"memory": ("minmem", "maxmem")}
    )

    always_failover: Annotated[bool, doc("Always move the guest by failover, never live.")] = False
    auto_balance: Annotated[bool, doc("Whether balancing tools may move the instance.")] = True
    maxmem: Annotated[Size, doc("Maximum memory of the guest.")] = 128
    minmem: Annotated[Size, doc("Minimum memory of the guest.")] = 128
    spindle_use: Annotated[Count, doc("Number of disk spindles that the guest uses.")] = 1
    vcpus: Annotated[Positive, doc("Number of virtual processors.")] = 1

    def conflicts(self) -> list[Problem]:
        if self.minmem < 1:
            return [Problem("minmem", "must be greater than 0 MiB")]
        if self.minmem > self.maxmem:
            return [Problem("minmem", f"{self.minmem} is more than maxmem ({self.maxmem})")]
        return []
