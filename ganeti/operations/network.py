# SPDX-License-Identifier: BSD-2-Clause
"""Networks come and go, are changed, and connected to node groups."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from ganeti.config.changes.networks import (
    LARGEST,
    SMALLEST,
    is_reserved,
    kept_from_instances,
    place_of,
    taken,
)
from ganeti.config.changes.objects import add, current, remove, update
from ganeti.config.changes.tags import tags_checked
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.locking.names import group_lock, network_lock, request
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.parsing import checked
from ganeti.opcodes.network import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    ModifyNetwork,
    RemoveNetwork,
    RenameNetwork,
)
from ganeti.operations.group import GroupEdit, hooks, run
from ganeti.operations.name_rules import require_label
from ganeti.operations.operation import HookCall, NodeAnswers, Operation
from ganeti.rpc.node import HookDirectory
from ganeti.schema.records import replace

_MAC_PREFIX = re.compile(r"\A[0-9a-f][02468ace](:[0-9a-f]{2}){2}\Z")


def _described(network: Network) -> dict[str, str]:
    known = {
        "NAME": network.name,
        "UUID": network.uuid,
        "TAGS": " ".join(network.tags),
    }
    if_set = {
        "SUBNET": network.network,
        "GATEWAY": network.gateway,
        "SUBNET6": network.network6,
        "GATEWAY6": network.gateway6,
        "MAC_PREFIX": network.mac_prefix,
    }
    known |= {name: value for name, value in if_set.items() if value}
    return {f"NETWORK_{name}": value for name, value in known.items()}


def _hooks(directory: HookDirectory, network: Network, state: ClusterState) -> HookCall:
    here = [state.cluster.master_node]
    return HookCall(directory, "NETWORK", _described(network), here, here)


def _mac_prefix(given: str | None) -> str | None:
    if given is not None and not _MAC_PREFIX.match(given.lower()):
        raise Refused("mac_prefix must be three bytes such as aa:00:00, the first even", Code.INPUT)
    return given.lower() if given else given


def plan_add(op: AddNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide what the new network is, or refuse."""
    require_label(op.network_name, "network_name")
    if state.knows(RecordKind.NETWORK, op.network_name):
        raise Refused(f"there is a network named {op.network_name} already", Code.EXISTS)
    inside = ipaddress.IPv4Network(op.network, strict=False)
    if not LARGEST <= inside.prefixlen <= SMALLEST:
        raise Refused(
            f"{op.network} has a prefix of {inside.prefixlen} bits; from {LARGEST} to {SMALLEST} "
            "are possible",
            Code.INPUT,
        )
    _require_gateway6(op.network6, op.gateway6)
    network = Network(
        uuid=facts.identity,
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        tags=tags_checked(op.tags),
        name=op.network_name,
        mac_prefix=_mac_prefix(op.mac_prefix),
        network=str(inside),
        network6=op.network6,
        gateway=op.gateway,
        gateway6=op.gateway6,
        reservations="0" * inside.num_addresses,
    )
    kept = [str(inside[0]), str(inside[-1]), *(op.add_reserved_ips or ())]
    kept += [op.gateway] if op.gateway else []
    if op.conflicts_check:
        kept += [each for each in _addresses(state) if place_of(network, each) is not None]
    network = kept_from_instances(network, kept, kept=True)
    locks = request(exclusive=[network_lock(op.network_name), network_lock(network.uuid)])
    return GroupEdit(add(network), locks, hooks=_hooks("network-add", network, state))


def _require_gateway6(network: str | None, gateway: str | None) -> None:
    """Refuse an IPv6 gateway that cards in the network could not reach.

    :raises Refused: it is not in the IPv6 network, or there is none.
    """
    if gateway is None:
        return
    inside = network and ipaddress.IPv6Address(gateway) in ipaddress.IPv6Network(network, False)
    if not inside:
        raise Refused(f"{gateway} is not in the network {network or 'for IPv6: none'}", Code.INPUT)


def _addresses(state: ClusterState) -> Iterator[str]:
    """The addresses of the cluster itself and its nodes."""
    yield state.cluster.master_ip
    for node in state.nodes.values():
        yield from {node.primary_ip, node.secondary_ip}


def plan_modify(op: ModifyNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide what changes of the network, or refuse."""
    network = state.network(op.network_name)
    names = ("gateway", "network6", "gateway6")
    fields: dict[str, Any] = {n: v for n in names if (v := getattr(op, n)) is not None}
    if op.mac_prefix is not None:
        fields["mac_prefix"] = _mac_prefix(op.mac_prefix)
    kept, freed = list(op.add_reserved_ips or ()), list(op.remove_reserved_ips or ())
    if not fields and not kept and not freed:
        raise Refused("no changes requested; give at least one parameter", Code.INPUT)
    _require_gateway6(
        fields.get("network6", network.network6), fields.get("gateway6", network.gateway6)
    )
    if op.gateway is not None:
        freed += [network.gateway] if network.gateway else []
        kept.append(op.gateway)
    for address in kept:
        if place_of(network, address) is not None and _of_instance(network, address, state):
            raise Refused(f"an instance has the address {address}", Code.NOT_UNIQUE)
    kept_from_instances(network, [*kept, *freed], kept=True)  # refuses what is not inside
    if free := [each for each in op.remove_reserved_ips or () if not is_reserved(network, each)]:
        raise Refused(
            f"{', '.join(free)} is not reserved in network {network.name}; see gnt-network info"
            f" {network.name}",
            Code.INPUT,
        )

    def change(state: ClusterState) -> ClusterState:
        now = kept_from_instances(current(state, network), freed, kept=False)
        return state.put(replace(kept_from_instances(now, kept, kept=True), **fields))

    locks = request(exclusive=[network_lock(network.uuid)])
    changed = replace(network, **fields)
    return GroupEdit(change, locks, hooks=_hooks("network-modify", changed, state))


def _of_instance(network: Network, address: str, state: ClusterState) -> bool:
    if not taken(network, address):
        return False
    return any(
        nic.network == network.uuid and nic.ip == address
        for instance in state.instances.values()
        for nic in instance.nics
    )


def plan_remove(op: RemoveNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide whether the network may go, or say what keeps it."""
    network = state.network(op.network_name)
    groups = [group.name for group in state.groups.values() if network.uuid in group.networks]
    if groups:
        raise Refused(
            f"the network {network.name} is connected to {', '.join(sorted(groups))}; first: "
            f"gnt-network disconnect {network.name}"
        )
    locks = request(exclusive=[network_lock(network.uuid)])
    return GroupEdit(remove(network), locks, hooks=_hooks("network-remove", network, state))


def plan_rename(op: RenameNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide whether the network can have the name, or refuse."""
    network = state.network(op.network_name)
    require_label(op.new_name, "new_name")
    if op.new_name != network.name and state.knows(RecordKind.NETWORK, op.new_name):
        raise Refused(f"there is a network named {op.new_name} already", Code.EXISTS)
    here = [state.cluster.master_node]
    names = {"OLD_NAME": network.name, "NEW_NAME": op.new_name}
    locks = request(exclusive=[network_lock(network.uuid), network_lock(op.new_name)])
    return GroupEdit(
        update(network, name=op.new_name),
        locks,
        op.new_name,
        HookCall("network-rename", "NETWORK", {**_described(network), **names}, here, here),
    )


def _connection_hooks(
    directory: HookDirectory,
    network: Network,
    group: Group,
    state: ClusterState,
    how: dict[str, Any],
) -> HookCall:
    nodes = [node.uuid for node in state.nodes_in(group)]
    more = {
        "GROUP_NAME": group.name,
        "GROUP_NETWORK_MODE": str(how.get("mode", "")),
        "GROUP_NETWORK_LINK": str(how.get("link", "")),
        "GROUP_NETWORK_VLAN": str(how.get("vlan", "")),
        **_described(network),
    }
    return HookCall(directory, "NETWORK", more, nodes, nodes)


def plan_connect(op: ConnectNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide whether the network can be connected to the group, or refuse."""
    network, group = state.network(op.network_name), state.group(op.group_name)
    if network.uuid in group.networks:
        raise Refused(
            f"the network {network.name} is connected to {group.name} already", Code.EXISTS
        )
    if op.conflicts_check and (strangers := sorted(_strangers(network, group, state))):
        raise Refused(
            f"these instances of {group.name} have addresses of {network.network} without being "
            f"in the network: {', '.join(strangers)}; change them, or use --no-conflicts-check"
        )
    how = {"mode": op.network_mode.value, "link": op.network_link, "vlan": op.network_vlan}
    checked(NicParameters, how, path="network")
    return GroupEdit(
        _networks(group, {**group.networks, network.uuid: how}),
        request(exclusive=[group_lock(group.uuid)], shared=[network_lock(network.uuid)]),
        hooks=_connection_hooks("network-connect", network, group, state, how),
    )


def _instances(group: Group, state: ClusterState) -> Iterator[Instance]:
    for node in state.nodes_in(group):
        yield from state.primaries_on(node)


def _strangers(network: Network, group: Group, state: ClusterState) -> set[str]:
    return {
        instance.name
        for instance in _instances(group, state)
        for nic in instance.nics
        if nic.network is None and nic.ip and place_of(network, nic.ip) is not None
    }


def plan_disconnect(op: DisconnectNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Decide whether the network can be taken from the group, or say who uses it."""
    network, group = state.network(op.network_name), state.group(op.group_name)
    how = group.networks.get(network.uuid)
    if how is None:
        raise Refused(f"the network {network.name} is not connected to {group.name}", Code.STATE)
    users = {
        instance.name
        for instance in _instances(group, state)
        if any(nic.network == network.uuid for nic in instance.nics)
    }
    if users:
        raise Refused(
            f"instances use the network {network.name}: {', '.join(sorted(users))}; take their "
            "cards out of it first"
        )
    left = {uuid: each for uuid, each in group.networks.items() if uuid != network.uuid}
    return GroupEdit(
        _networks(group, left),
        request(exclusive=[group_lock(group.uuid)], shared=[network_lock(network.uuid)]),
        hooks=_connection_hooks("network-disconnect", network, group, state, how),
    )


def _networks(group: Group, networks: dict[str, Any]) -> Change:
    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(current(state, group), networks=networks))

    return change


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(AddNetwork, plan_add, run, hooks=hooks),
    Operation(ModifyNetwork, plan_modify, run, hooks=hooks),
    Operation(RemoveNetwork, plan_remove, run, hooks=hooks),
    Operation(RenameNetwork, plan_rename, run, hooks=hooks),
    Operation(ConnectNetwork, plan_connect, run, hooks=hooks),
    Operation(DisconnectNetwork, plan_disconnect, run, hooks=hooks),
)
