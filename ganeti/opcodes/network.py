# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from ganeti.opcodes import fields
from ganeti.opcodes.choices import NicMode
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Line, Name, Text

Gateway = Annotated[Text | None, doc("IPv4 gateway.")]
Network6 = Annotated[Text | None, doc("IPv6 network, as prefix/length.")]
Gateway6 = Annotated[Text | None, doc("IPv6 gateway.")]
MacPrefix = Annotated[Text | None, doc("First three bytes of MAC addresses in the network.")]
Reserve = Annotated[tuple[Text, ...] | None, doc("IPv4 addresses to reserve.")]


class AddNetwork(Opcode, tag="OP_NETWORK_ADD"):
    """Create a network with a pool of addresses for instances."""

    summary_field = "network_name"

    network_name: Annotated[Name, doc("Name of the new network.")]
    network: Annotated[Text, doc("IPv4 network, as address/length.")]
    gateway: Gateway = None
    network6: Network6 = None
    gateway6: Gateway6 = None
    mac_prefix: MacPrefix = None
    add_reserved_ips: Reserve = None
    conflicts_check: fields.ConflictsCheck = True
    tags: fields.Tags = ()

    def __post_init__(self) -> None:
        _check_addresses(
            self, network="IPv4Network", gateway="IPv4Address", add_reserved_ips="IPv4Address"
        )
        _check_addresses(self, network6="IPv6Network", gateway6="IPv6Address")


class ModifyNetwork(Opcode, tag="OP_NETWORK_SET_PARAMS"):
    """Change a network; its IPv4 subnet cannot be changed."""

    summary_field = "network_name"

    network_name: fields.TheNetwork
    gateway: Gateway = None
    network6: Network6 = None
    gateway6: Gateway6 = None
    mac_prefix: MacPrefix = None
    add_reserved_ips: Reserve = None
    remove_reserved_ips: Annotated[tuple[Text, ...] | None, doc("IPv4 addresses to release.")] = (
        None
    )

    def __post_init__(self) -> None:
        _check_addresses(
            self, gateway="IPv4Address", network6="IPv6Network", gateway6="IPv6Address"
        )
        _check_addresses(self, add_reserved_ips="IPv4Address", remove_reserved_ips="IPv4Address")


class RemoveNetwork(Opcode, tag="OP_NETWORK_REMOVE"):
    """Remove a network that is not connected to a node group."""

    summary_field = "network_name"

    network_name: fields.TheNetwork
    force: fields.Force = False


class RenameNetwork(Opcode, tag="OP_NETWORK_RENAME"):
    """Rename a network."""

    summary_field = "network_name"

    network_name: fields.TheNetwork
    new_name: Annotated[Name, doc("New name.")]


class ConnectNetwork(Opcode, tag="OP_NETWORK_CONNECT"):
    """Connect a network to a node group, whose instances can then use it."""

    summary_field = "network_name"

    group_name: fields.TheGroup
    network_name: fields.TheNetwork
    network_mode: Annotated[NicMode, doc("Connection mode of network cards.")]
    network_link: Annotated[Text, doc("Bridge, switch or routing table on the nodes.")]
    network_vlan: Annotated[Line, doc("VLANs: .10 (untagged), :10:20 (tagged), .10:20.")] = ""
    conflicts_check: fields.ConflictsCheck = True


class DisconnectNetwork(Opcode, tag="OP_NETWORK_DISCONNECT"):
    """Disconnect a network from a node group."""

    summary_field = "network_name"

    group_name: fields.TheGroup
    network_name: fields.TheNetwork


_EXAMPLES = {
    "IPv4Address": "an IPv4 address such as 192.0.2.1",
    "IPv4Network": "an IPv4 network such as 192.0.2.0/24",
    "IPv6Address": "an IPv6 address such as 2001:db8::1",
    "IPv6Network": "an IPv6 network such as 2001:db8::/64",
}


def _check_addresses(opcode: Opcode, **kinds: str) -> None:
    """Reject parameters that are not addresses or networks of the given kinds."""
    import ipaddress  # takes milliseconds to load, and only opcodes for networks need it

    for name, kind in kinds.items():
        value = getattr(opcode, name)
        parse: Callable[[str], Any] = getattr(ipaddress, kind)
        for text in value if isinstance(value, tuple) else (value,):
            if text is None:
                continue
            try:
                parse(text)
            except ValueError:
                raise ValueError(f"{name}: {text} is not {_EXAMPLES[kind]}") from None
            if kind.endswith("Network") and "/" not in text:
                raise ValueError(f"{name}: {text} is not {_EXAMPLES[kind]}")
