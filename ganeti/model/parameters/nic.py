# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of network cards."""

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

    link: Annotated[Line, doc("Bridge, switch or routing table to connect to.")] = "xen-br0"
    mode: Annotated[
        Literal["bridged", "openvswitch", "pool", "routed"], doc("Connection mode.")
    ] = "bridged"
    vlan: Annotated[Vlan, doc("VLANs of the card, with mode openvswitch.")] = ""

    def conflicts(self) -> list[Problem]:
        if self.mode in {"bridged", "openvswitch"} and not self.link:
            return [Problem("link", f"is required with mode {self.mode}")]
        return []
