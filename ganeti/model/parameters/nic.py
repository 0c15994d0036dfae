# SPDX-License-Identifier: BSD-2-Clause
"""Parameters of network cards."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ganeti.errors import Problem
from ganeti.model.parameters.declaration import ParameterSet, defaults
from ganeti.model.traffic_rules import parse_firewall
from ganeti.model.vlans import parse_vlans
from ganeti.schema.records import doc
from ganeti.schema.types import Line, Parameters, Value

Vlan = Annotated[
    str,
    Meta(
        pattern=r"\A(\.?\d+)?(:\d+)*\Z",
        extra={"rule": "must be like .10 (untagged), .10:20 (hybrid), or :10:20 (tagged)"},
    ),
]


SWITCHED = frozenset({"bridged", "openvswitch"})
"""The modes with a bridge or switch, which can have VLANs."""


GANETIS = frozenset({"mode", "link", "vlan"})
"""The parameters that Ganeti has; all others are ours."""


Bandwidth = Annotated[int, Meta(ge=0, le=1_000_000)]
"""In Mbit/s; 0 is no limit."""


class NicParameters(ParameterSet):
    """The parameters of a network card; see ``GANETIS`` for those that are not ours."""

    anti_spoofing: Annotated[
        bool, doc("Whether the card can only send from its own MAC and IP addresses.")
    ] = False
    bandwidth_in: Annotated[
        Bandwidth, doc("Limit of what the guest receives, in Mbit/s; 0: none.")
    ] = 0
    bandwidth_out: Annotated[
        Bandwidth, doc("Limit of what the guest sends, in Mbit/s; 0: none.")
    ] = 0
    firewall: Annotated[
        Line,
        doc(
            "What others may send to the guest, such as tcp:22 udp:53@192.0.2.0/24 icmp; deny:"
            " nothing; empty: anything."
        ),
    ] = ""

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
        try:
            parse_firewall(self.firewall)
        except ValueError as e:
            problems.append(Problem("firewall", str(e)))
        return problems


def without_connection(parameters: Parameters) -> Parameters:
    """Return the parameters of a card without those that the connection of its network has.

    They stay the same in another network, and for a copy of the card.
    """
    return {name: value for name, value in parameters.items() if name not in GANETIS}


def first_nic_parameters() -> dict[str, Value]:
    """Return the defaults that a new configuration has: without ours, which Ganeti does not read.

    Ours are in the configuration once they are set.
    """
    known = defaults(NicParameters)
    return {name: known[name] for name in ("link", "mode", "vlan")}
