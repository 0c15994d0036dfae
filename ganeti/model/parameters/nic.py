# SPDX-License-Identifier: BSD-2-Clause
"""How network cards are connected."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ganeti.errors import Problem
from ganeti.model.parameters.declaration import ParameterSet
from ganeti.schema.records import doc
from ganeti.schema.types import Line

Vlan = Annotated[
    str,
    Meta(
        pattern=r"\A(\.?\d+)?(:\d+)*\Z",
        extra={"rule": "must be like .10 (untagged), .10:20 (hybrid), or :10:20 (tagged)"},
    ),
]


class NicParameters(ParameterSet):
    """The parameters of a network card."""

    link: Annotated[Line, doc("The bridge, switch or routing table it is connected to.")] = (
        "xen-br0"
    )
    mode: Annotated[
        Literal["bridged", "openvswitch", "pool", "routed"], doc("How it is connected.")
    ] = "bridged"
    vlan: Annotated[Vlan, doc("The VLANs it takes part in, with openvswitch.")] = ""

    def conflicts(self) -> list[Problem]:
        if self.mode in {"bridged", "openvswitch"} and not self.link:
            return [Problem("link", f"is needed with mode {self.mode}")]
        return []
