# SPDX-License-Identifier: BSD-2-Clause
"""Connection of network cards to networks, by the node group's connection of each network."""

from __future__ import annotations

from collections.abc import Container, Sequence

from ganeti.config.changes.networks import (
    POOL,
    address_index,
    describe_host,
    in_use,
    outside,
    taken,
)
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.group import Group
from ganeti.model.instance import Nic
from ganeti.schema.records import replace


def connected(
    nics: Sequence[Nic],
    group: Group,
    state: ClusterState,
    *,
    before: Sequence[Nic] = (),
    conflicts_check: bool = False,
) -> tuple[Nic, ...]:
    """Return the cards with network UUIDs and the parameters of the networks' connections.

    Addresses that the cards had ``before`` are allowed. ``conflicts_check`` rejects an address of a
    connected network for a card that is not in it, because another instance can get this address.

    :raises Refused: a network is not connected to the group, or an address is not available, or is
        that of a node or the cluster.
    """
    had = {(nic.network, nic.ip) for nic in before}
    if conflicts_check:
        for nic in nics:
            if nic.network is None and nic.ip is not None and (None, nic.ip) not in had:
                _check_no_conflict(nic.ip, group, state)
    found = tuple(_connect_nic(nic, group, state, had) for nic in nics)
    for nic in found:
        if nic.ip not in (None, POOL) and (nic.network, nic.ip) not in had:
            _require_no_host(str(nic.ip), state)
    return found


def _require_no_host(address: str, state: ClusterState) -> None:
    if host := describe_host(state, address):
        raise Refused(
            f"address {address} is {host}, which a guest with this address could cut off from the"
            " cluster; choose another address",
            Code.NOT_UNIQUE,
        )


def _check_no_conflict(address: str, group: Group, state: ClusterState) -> None:
    for uuid in group.networks:
        network = state.networks[uuid]
        if address_index(network, address) is not None:
            raise Refused(
                f"address {address} belongs to network {network.name}, which is connected to node "
                f"group {group.name}, but the network card is not in this network; set "
                f"network={network.name}, or use --no-conflicts-check"
            )


def get_mac_prefix(nic: Nic, state: ClusterState) -> str:
    """Return the MAC prefix of a card's network, or an empty string."""
    if nic.network is None:
        return ""
    return state.network(nic.network).mac_prefix or ""


def _connect_nic(
    nic: Nic, group: Group, state: ClusterState, had: Container[tuple[str | None, str | None]]
) -> Nic:
    if nic.network is None:
        return nic
    network = state.network(nic.network)
    if network.uuid not in group.networks:
        raise Refused(
            f"network {network.name} is not connected to node group {group.name}; to "
            f"connect it: gnt-network connect {network.name} MODE LINK {group.name}"
        )
    if nic.ip not in (None, POOL):
        if address_index(network, str(nic.ip)) is None:
            raise outside(network, str(nic.ip))
        if taken(network, str(nic.ip)) and (network.uuid, nic.ip) not in had:
            raise in_use(network, str(nic.ip))
    parameters = {**group.networks[network.uuid], **nic.nicparams}
    return replace(nic, network=network.uuid, nicparams=parameters)
