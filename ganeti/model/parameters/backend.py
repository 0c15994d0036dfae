# SPDX-License-Identifier: BSD-2-Clause
"""What every guest has, whatever runs it: memory, processors, how it is treated."""

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

    always_failover: Annotated[bool, doc("Move the guest by a restart, never while it runs.")] = (
        False
    )
    auto_balance: Annotated[bool, doc("Whether tools that even out the load may move it.")] = True
    maxmem: Annotated[Size, doc("Memory that the guest gets when there is enough.")] = 128
    minmem: Annotated[Size, doc("Memory that the guest needs at least.")] = 128
    spindle_use: Annotated[Count, doc("How many disk spindles the guest keeps busy.")] = 1
    vcpus: Annotated[Positive, doc("Virtual processors.")] = 1

    def conflicts(self) -> list[Problem]:
        if self.minmem < 1:
            return [Problem("minmem", "must be more than 0 MiB")]
        if self.minmem > self.maxmem:
            return [Problem("minmem", f"{self.minmem} is more than maxmem, which is {self.maxmem}")]
        return []
