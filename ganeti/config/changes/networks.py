# SPDX-License-Identifier: BSD-2-Clause
"""Addresses of networks: which are taken by instances, which by others, and which are free.

A network has two strings with a ``0`` or ``1`` for each of its addresses, the lowest first:
``reservations`` for instances, ``ext_reservations`` for everybody else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ganeti.config.changes.objects import current
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.instance import Nic
from ganeti.model.network import Network
from ganeti.schema.records import replace

POOL = "pool"
"""In the place of an address: any free one."""
SMALLEST, LARGEST = 30, 16
"""The lengths of prefixes that networks may have."""


def size_of(network: Network) -> int:
    """How many addresses a network has."""
    return ipaddress.IPv4Network(network.network).num_addresses


def place_of(network: Network, address: str) -> int | None:
    """The number of an address in its network, from 0; None if it is not in there."""
    inside = ipaddress.IPv4Network(network.network)
    try:
        number = int(ipaddress.IPv4Address(address)) - int(inside.network_address)
    except ipaddress.AddressValueError:
        return None
    return number if 0 <= number < inside.num_addresses else None


def taken(network: Network, address: str) -> bool:
    """Whether somebody has the address, which must be in the network."""
    place = place_of(network, address)
    return place is not None and "1" in (_inner(network)[place], _outer(network)[place])


def is_reserved(network: Network, address: str) -> bool:
    """Whether an address, which must be in the network, is kept from instances."""
    place = place_of(network, address)
    return place is not None and _outer(network)[place] == "1"


def _inner(network: Network) -> str:
    return network.reservations or "0" * size_of(network)


def _outer(network: Network) -> str:
    return network.ext_reservations or "0" * size_of(network)


def _marked(bits: str, places: Iterable[int], mark: str) -> str:
    changed = list(bits)
    for place in places:
        changed[place] = mark
    return "".join(changed)


def kept_from_instances(network: Network, addresses: Iterable[str], *, kept: bool) -> Network:
    """The network in which these addresses are, or are no longer, for others than instances.

    :raises Refused: one is not in the network.
    """
    places = []
    for address in addresses:
        place = place_of(network, address)
        if place is None:
            raise Refused(f"{address} is not in the network {network.network}", Code.INPUT)
        places.append(place)
    marked = _marked(_outer(network), places, "1" if kept else "0")
    return replace(network, ext_reservations=marked)


def keep_from_pools(*addresses: str) -> Change:
    """Reserve addresses of hosts in the networks that have them, so that no instance gets one."""

    def change(state: ClusterState) -> ClusterState:
        for network in state.networks.values():
            inside = [each for each in addresses if place_of(network, each) is not None]
            kept = kept_from_instances(network, inside, kept=True)
            if inside and _outer(kept) != _outer(network):
                state = state.put(kept)
        return state

    return change


def first_free(network: Network) -> str:
    """The lowest address that nobody has.

    :raises Refused: there is none.
    """
    both = zip(_inner(network), _outer(network), strict=True)
    for number, bits in enumerate(both):
        if bits == ("0", "0"):
            return str(ipaddress.IPv4Network(network.network)[number])
    raise Refused(
        f"the network {network.name} has no free address; remove instances from it, or let "
        "instances have some of the reserved ones",
        Code.RESOURCES,
    )


def with_addresses(
    state: ClusterState, nics: Sequence[Nic]
) -> tuple[tuple[Nic, ...], ClusterState]:
    """The cards, each with an address of its own, and the state in which these are taken.

    :raises Refused: an address is taken already, or not in the card's network.
    """
    done = []
    for nic in nics:
        if nic.network is None or nic.ip is None:
            done.append(nic)
            continue
        network = state.networks[nic.network]
        address = first_free(network) if nic.ip == POOL else nic.ip
        place = place_of(network, address)
        if place is None:
            raise Refused(
                f"{address} is not in the network {network.name}, {network.network}", Code.INPUT
            )
        if taken(network, address):
            raise Refused(
                f"the address {address} of the network {network.name} is taken; choose another "
                "one, or 'pool' for any free one",
                Code.NOT_UNIQUE,
            )
        marked = _marked(_inner(network), [place], "1")
        state = state.put(replace(network, reservations=marked))
        done.append(replace(nic, ip=address))
    return tuple(done), state


def without_addresses(state: ClusterState, nics: Sequence[Nic]) -> ClusterState:
    """The state in which the addresses of these cards are free again."""
    for nic in nics:
        network = state.networks.get(nic.network) if nic.network is not None else None
        if network is None or nic.ip is None:
            continue
        place = place_of(network, nic.ip)
        if place is not None:
            marked = _marked(_inner(network), [place], "0")
            state = state.put(replace(current(state, network), reservations=marked))
    return state
