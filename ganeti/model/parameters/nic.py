# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of network cards."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ganeti.errors import Problem
from ganeti.model.parameters.declaration import ParameterSet
from ganeti.model.vlans import parse_vlans
from ganeti.schema.records import doc
from ganeti.schema.types import Line

Vlan = Annotated[
    str,
    Meta(
        pattern=r"\A(\.?\d+)?(:\d+)*\Z",
        extra={"rule": "must be like .10 (untagged), .10:20 (hybrid), or :10:20 (tagged)"},
    ),
]


SWITCHED = frozenset({"bridged", "openvswitch"})
"""The modes with a bridge or switch, which can have VLANs."""


class NicParameters(ParameterSet):
    """The parameters of a network card."""

    link: Annotated[Line, doc("Bridge, switch or routing table to connect to.")] = "xen-br0"
    mode: Annotated[
        Literal["bridged", "openvswitch", "pool", "routed"], doc("Connection mode.")
    ] = "bridged"
    vlan: Annotated[Vlan, doc("VLANs of the card on a bridge or switch that separates them.")] = ""

    def conflicts(self) -> list[Problem]:
        problems = []
        if self.mode in SWITCHED and not self.link:
            problems.append(Problem("link", f"is required with mode {self.mode}"))
        if self.mode == "pool":
            words = "pool is no connection; use bridged, openvswitch or routed, with ip=pool"
            problems.append(Problem("mode", words))
        try:
            vlans = parse_vlans(self.vlan)
        except ValueError as e:
            problems.append(Problem("vlan", str(e)))
        else:
            if vlans and self.mode not in SWITCHED:
                words = "needs mode bridged or openvswitch; for this card, make it empty: vlan="
                problems.append(Problem("vlan", words))
        return problems
