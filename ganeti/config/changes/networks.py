# SPDX-License-Identifier: BSD-2-Clause
"""Address pools of networks.

A network has two bitmaps, strings with a ``0`` or ``1`` for each address, the lowest first:
``reservations`` for instances and ``ext_reservations`` for other hosts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Sequence

from ganeti.config.changes.objects import current
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.instance import Nic
from ganeti.model.network import Network
from ganeti.schema.records import replace

POOL = "pool"
"""The value that requests any free address."""
MAX_PREFIX_LENGTH, LARGEST = 30, 16
"""Limits of the prefix length of networks."""


def size_of(network: Network) -> int:
    """Return the number of addresses in a network."""
    return ipaddress.IPv4Network(network.network).num_addresses


def address_index(network: Network, address: str) -> int | None:
    """Return the index of an address in its network, from 0, or None if it is outside."""
    inside = ipaddress.IPv4Network(network.network)
    try:
        number = int(ipaddress.IPv4Address(address)) - int(inside.network_address)
    except ipaddress.AddressValueError:
        return None
    return number if 0 <= number < inside.num_addresses else None


def taken(network: Network, address: str) -> bool:
    """Return whether an address of the network is reserved, for an instance or another host."""
    place = address_index(network, address)
    return place is not None and "1" in (
        _instance_bits(network)[place],
        _external_bits(network)[place],
    )


def is_reserved(network: Network, address: str) -> bool:
    """Return whether an address of the network has an external reservation."""
    place = address_index(network, address)
    return place is not None and _external_bits(network)[place] == "1"


def outside(network: Network, address: str) -> Refused:
    """Return the error for an address that is not in ``network``."""
    return Refused(
        f"address {address} is not in network {network.name} ({network.network})", Code.INPUT
    )


def in_use(network: Network, address: str) -> Refused:
    """Return the error for an address of ``network`` that is already reserved."""
    return Refused(
        f"address {address} of network {network.name} is in use; choose another one, or "
        "'pool' for any free one",
        Code.NOT_UNIQUE,
    )


def _instance_bits(network: Network) -> str:
    return network.reservations or "0" * size_of(network)


def _external_bits(network: Network) -> str:
    return network.ext_reservations or "0" * size_of(network)


def _set_bits(bits: str, places: Iterable[int], mark: str) -> str:
    changed = list(bits)
    for place in places:
        changed[place] = mark
    return "".join(changed)


def set_external_reservations(network: Network, addresses: Iterable[str], *, kept: bool) -> Network:
    """Return the network with external reservations of these addresses set or cleared.

    :raises Refused: an address is not in the network.
    """
    places = []
    for address in addresses:
        place = address_index(network, address)
        if place is None:
            raise outside(network, address)
        places.append(place)
    marked = _set_bits(_external_bits(network), places, "1" if kept else "0")
    return replace(network, ext_reservations=marked)


def keep_from_pools(*addresses: str) -> Change:
    """Reserve host addresses in the networks that contain them, so that no instance gets one."""

    def change(state: ClusterState) -> ClusterState:
        for network in state.networks.values():
            inside = [each for each in addresses if address_index(network, each) is not None]
            kept = set_external_reservations(network, inside, kept=True)
            if inside and _external_bits(kept) != _external_bits(network):
                state = state.put(kept)
        return state

    return change


def list_host_addresses(state: ClusterState) -> Iterator[tuple[str, str]]:
    """Yield the addresses of the cluster and its nodes, each with words for it."""
    yield state.cluster.master_ip, "that of the cluster"
    for node in state.nodes.values():
        for address in {node.primary_ip, node.secondary_ip}:
            yield address, f"that of node {node.name}"


def describe_host(state: ClusterState, address: str) -> str:
    """Return words for the host of the cluster that has an address; empty if none has."""
    # An address of version 6 can be written in several ways.
    wanted = ipaddress.ip_address(address)
    candidates = list_host_addresses(state)
    return next((what for each, what in candidates if ipaddress.ip_address(each) == wanted), "")


def find_free_address(network: Network, hosts: Collection[str] = ()) -> str:
    """Return the lowest free address that none of the ``hosts`` has.

    :raises Refused: no address is free.
    """
    both = zip(_instance_bits(network), _external_bits(network), strict=True)
    for number, bits in enumerate(both):
        if bits == ("0", "0"):
            address = str(ipaddress.IPv4Network(network.network)[number])
            if address not in hosts:
                return address
    raise Refused(
        f"network {network.name} has no free address; release reserved addresses or remove "
        "instances from it",
        Code.RESOURCES,
    )


def reserve_addresses(
    state: ClusterState, nics: Sequence[Nic]
) -> tuple[tuple[Nic, ...], ClusterState]:
    """Return the cards with their addresses filled in, and the state with these reserved.

    :raises Refused: an address is already reserved, or not in the card's network.
    """
    done = []
    for nic in nics:
        if nic.network is None or nic.ip is None:
            done.append(nic)
            continue
        network = state.networks[nic.network]
        address = nic.ip
        if address == POOL:
            # Reserved as well, unless the network was created without a check for conflicts.
            hosts = {each for each, _ in list_host_addresses(state)}
            address = find_free_address(network, hosts)
        place = address_index(network, address)
        if place is None:
            raise outside(network, address)
        if taken(network, address):
            raise in_use(network, address)
        marked = _set_bits(_instance_bits(network), [place], "1")
        state = state.put(replace(network, reservations=marked))
        done.append(replace(nic, ip=address))
    return tuple(done), state


def release_addresses(state: ClusterState, nics: Sequence[Nic]) -> ClusterState:
    """Return the state with the addresses of these cards released."""
    for nic in nics:
        network = state.networks.get(nic.network) if nic.network is not None else None
        if network is None or nic.ip is None:
            continue
        place = address_index(network, nic.ip)
        if place is not None:
            marked = _set_bits(_instance_bits(network), [place], "0")
            state = state.put(replace(current(state, network), reservations=marked))
    return state
