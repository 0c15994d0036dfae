# SPDX-License-Identifier: BSD-2-Clause
"""Network cards in networks: what such a card gets from the group that its network belongs to."""

from __future__ import annotations

from collections.abc import Container, Sequence

from ganeti.config.changes.networks import POOL, place_of, taken
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
    """The cards with their networks' UUIDs for names, and connected as the group says.

    Addresses that cards had ``before`` are theirs already. With ``conflicts_check`` a card that is
    in no network gets no address out of one that the group is connected to: there another
    instance can get it.

    :raises Refused: a network is not connected to the group, or an address cannot be had.
    """
    had = {(nic.network, nic.ip) for nic in before}
    if conflicts_check:
        for nic in nics:
            if nic.network is None and nic.ip is not None and (None, nic.ip) not in had:
                _require_foreign(nic.ip, group, state)
    return tuple(_connected(nic, group, state, had) for nic in nics)


def _require_foreign(address: str, group: Group, state: ClusterState) -> None:
    for uuid in group.networks:
        network = state.networks[uuid]
        if place_of(network, address) is not None:
            raise Refused(
                f"the address {address} belongs to the network {network.name}, which is connected "
                f"to the node group {group.name}, and the network card is not in it; give it "
                f"network={network.name}, or use --no-conflicts-check"
            )


def mac_prefix_of(nic: Nic, state: ClusterState) -> str:
    """How the address of a card begins by its network; empty text if that does not say."""
    if nic.network is None:
        return ""
    return state.network(nic.network).mac_prefix or ""


def _connected(
    nic: Nic, group: Group, state: ClusterState, had: Container[tuple[str | None, str | None]]
) -> Nic:
    if nic.network is None:
        return nic
    network = state.network(nic.network)
    if network.uuid not in group.networks:
        raise Refused(
            f"the network {network.name} is not connected to the node group {group.name}; to "
            f"connect it: gnt-network connect {network.name} MODE LINK {group.name}"
        )
    if nic.ip not in (None, POOL):
        if place_of(network, str(nic.ip)) is None:
            raise Refused(
                f"{nic.ip} is not in the network {network.name}, {network.network}", Code.INPUT
            )
        if taken(network, str(nic.ip)) and (network.uuid, nic.ip) not in had:
            raise Refused(
                f"the address {nic.ip} of the network {network.name} is taken", Code.NOT_UNIQUE
            )
    parameters = {**group.networks[network.uuid], **nic.nicparams}
    return replace(nic, network=network.uuid, nicparams=parameters)
