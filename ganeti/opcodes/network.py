# SPDX-License-Identifier: BSD-2-Clause
"""Requests about networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from ganeti.opcodes import fields
from ganeti.opcodes.choices import NicMode
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Line, Name, Text

Gateway = Annotated[Text | None, doc("The router's IPv4 address.")]
Network6 = Annotated[Text | None, doc("The IPv6 network, as prefix/length.")]
Gateway6 = Annotated[Text | None, doc("The router's IPv6 address.")]
MacPrefix = Annotated[Text | None, doc("The first three bytes of MAC addresses in the network.")]
Reserve = Annotated[tuple[Text, ...] | None, doc("IPv4 addresses that instances never get.")]


class AddNetwork(Opcode, tag="OP_NETWORK_ADD"):
    """Create a network that hands out addresses to instances."""

    summary_field = "network_name"

    network_name: Annotated[Name, doc("The name of the new network.")]
    network: Annotated[Text, doc("The IPv4 network, as address/length.")]
    gateway: Gateway = None
    network6: Network6 = None
    gateway6: Gateway6 = None
    mac_prefix: MacPrefix = None
    add_reserved_ips: Reserve = None
    conflicts_check: fields.ConflictsCheck = True
    tags: fields.Tags = ()

    def __post_init__(self) -> None:
        _check(self, network="IPv4Network", gateway="IPv4Address", add_reserved_ips="IPv4Address")
        _check(self, network6="IPv6Network", gateway6="IPv6Address")


class ModifyNetwork(Opcode, tag="OP_NETWORK_SET_PARAMS"):
    """Change a network, except for its IPv4 subnet."""

    summary_field = "network_name"

    network_name: fields.TheNetwork
    gateway: Gateway = None
    network6: Network6 = None
    gateway6: Gateway6 = None
    mac_prefix: MacPrefix = None
    add_reserved_ips: Reserve = None
    remove_reserved_ips: Annotated[
        tuple[Text, ...] | None, doc("IPv4 addresses that instances may get again.")
    ] = None

    def __post_init__(self) -> None:
        _check(self, gateway="IPv4Address", network6="IPv6Network", gateway6="IPv6Address")
        _check(self, add_reserved_ips="IPv4Address", remove_reserved_ips="IPv4Address")


class RemoveNetwork(Opcode, tag="OP_NETWORK_REMOVE"):
    """Delete a network that is connected to no node group."""

    summary_field = "network_name"

    network_name: fields.TheNetwork
    force: fields.Force = False


class RenameNetwork(Opcode, tag="OP_NETWORK_RENAME"):
    """Give a network another name."""

    summary_field = "network_name"

    network_name: fields.TheNetwork
    new_name: Annotated[Name, doc("The new name.")]


class ConnectNetwork(Opcode, tag="OP_NETWORK_CONNECT"):
    """Let the instances of a node group use a network."""

    summary_field = "network_name"

    group_name: fields.TheGroup
    network_name: fields.TheNetwork
    network_mode: Annotated[NicMode, doc("How network cards are attached to it.")]
    network_link: Annotated[Text, doc("The bridge, switch or routing table of the nodes.")]
    network_vlan: Annotated[Line, doc("The VLAN, where the link is a switch.")] = ""
    conflicts_check: fields.ConflictsCheck = True


class DisconnectNetwork(Opcode, tag="OP_NETWORK_DISCONNECT"):
    """Take a network away from a node group."""

    summary_field = "network_name"

    group_name: fields.TheGroup
    network_name: fields.TheNetwork


_EXAMPLES = {
    "IPv4Address": "an IPv4 address such as 192.0.2.1",
    "IPv4Network": "an IPv4 network such as 192.0.2.0/24",
    "IPv6Address": "an IPv6 address such as 2001:db8::1",
    "IPv6Network": "an IPv6 network such as 2001:db8::/64",
}


def _check(opcode: Opcode, **kinds: str) -> None:
    """Refuse parameters that are not addresses or networks of the kinds asked for."""
    import ipaddress  # only who makes networks needs it, and it takes milliseconds to load

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
