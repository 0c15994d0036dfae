# SPDX-License-Identifier: BSD-2-Clause
"""Operations that add, modify, rename, remove and connect networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ganeti.config.changes.networks import (
    LARGEST,
    MAX_PREFIX_LENGTH,
    address_index,
    describe_host,
    is_reserved,
    list_host_addresses,
    set_external_reservations,
    taken,
)
from ganeti.config.changes.objects import add, current, remove, update
from ganeti.config.changes.tags import validate_tags
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.locking.names import group_lock, network_lock, request
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.parsing import check_consistency
from ganeti.opcodes.network import (
    AddNetwork,
    ConnectNetwork,
    DisconnectNetwork,
    ModifyNetwork,
    RemoveNetwork,
    RenameNetwork,
)
from ganeti.operations.group import GroupEdit, hooks, run
from ganeti.operations.name_rules import check_label
from ganeti.operations.operation import AnyOperation, HookCall, NodeAnswers, Operation
from ganeti.operations.refusals import already_exists, nothing_to_change
from ganeti.rpc.node import HookDirectory
from ganeti.schema.records import FieldValues, replace

_MAC_PREFIX = re.compile(r"\A[0-9a-f][02468ace](:[0-9a-f]{2}){2}\Z")


def _describe(network: Network) -> dict[str, str]:
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
    return HookCall(directory, "NETWORK", _describe(network), here, here)


def _validate_mac_prefix(given: str | None) -> str | None:
    if given is not None and not _MAC_PREFIX.match(given.lower()):
        raise Refused(
            "mac_prefix must be three bytes such as aa:00:00, with an even first byte", Code.INPUT
        )
    return given.lower() if given else given


def plan_add(op: AddNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the new network."""
    check_label(op.network_name, "network_name")
    if state.knows(RecordKind.NETWORK, op.network_name):
        raise already_exists(RecordKind.NETWORK, op.network_name)
    inside = ipaddress.IPv4Network(op.network, strict=False)
    if not LARGEST <= inside.prefixlen <= MAX_PREFIX_LENGTH:
        raise Refused(
            f"network {op.network} has a prefix length of {inside.prefixlen}; it must be from"
            f" {LARGEST} to {MAX_PREFIX_LENGTH}",
            Code.INPUT,
        )
    _require_gateway6(op.network6, op.gateway6)
    network = Network(
        uuid=facts.identity,
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        tags=validate_tags(op.tags),
        name=op.network_name,
        mac_prefix=_validate_mac_prefix(op.mac_prefix),
        network=str(inside),
        network6=op.network6,
        gateway=op.gateway,
        gateway6=op.gateway6,
        reservations="0" * inside.num_addresses,
    )
    # The addresses of the network itself and for broadcasts.
    kept = [str(inside[0]), str(inside[-1]), *(op.add_reserved_ips or ())]
    kept += [op.gateway] if op.gateway else []
    if op.conflicts_check:
        kept += [
            each
            for each, _ in list_host_addresses(state)
            if address_index(network, each) is not None
        ]
    network = set_external_reservations(network, kept, kept=True)
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
        raise Refused(
            f"gateway {gateway} is not in the IPv6 network ({network or 'none'})", Code.INPUT
        )


def plan_modify(op: ModifyNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the changes of the network."""
    network = state.network(op.network_name)
    names = ("gateway", "network6", "gateway6")
    fields: FieldValues = {n: v for n in names if (v := getattr(op, n)) is not None}
    if op.mac_prefix is not None:
        fields["mac_prefix"] = _validate_mac_prefix(op.mac_prefix)
    kept, freed = list(op.add_reserved_ips or ()), list(op.remove_reserved_ips or ())
    if not fields and not kept and not freed:
        raise nothing_to_change()
    _require_gateway6(
        fields.get("network6", network.network6), fields.get("gateway6", network.gateway6)
    )
    if op.gateway is not None:
        freed += [network.gateway] if network.gateway else []
        kept.append(op.gateway)
    for address in kept:
        if address_index(network, address) is not None and _is_used_by_instance(
            network, address, state
        ):
            raise Refused(f"address {address} is in use by an instance", Code.NOT_UNIQUE)
    # Refuses addresses outside the network.
    set_external_reservations(network, [*kept, *freed], kept=True)
    if free := [each for each in op.remove_reserved_ips or () if not is_reserved(network, each)]:
        raise Refused(
            f"address {', '.join(free)} is not reserved in network {network.name}; see gnt-network"
            f" info {network.name}",
            Code.INPUT,
        )
    _refuse_release(network, op, state)

    def change(state: ClusterState) -> ClusterState:
        # Freed first, as the new gateway may be the old one.
        now = set_external_reservations(current(state, network), freed, kept=False)
        return state.put(replace(set_external_reservations(now, kept, kept=True), **fields))

    locks = request(exclusive=[network_lock(network.uuid)])
    changed = replace(network, **fields)
    return GroupEdit(change, locks, hooks=_hooks("network-modify", changed, state))


def _refuse_release(network: Network, op: ModifyNetwork, state: ClusterState) -> None:
    """Refuse to release addresses that no instance can have.

    :raises Refused: one is that of the network, of broadcasts, of the gateway, of a node, or of the
        cluster.
    """
    for address in op.remove_reserved_ips or ():
        if host := describe_host(state, address):
            raise Refused(
                f"address {address} stays reserved in network {network.name}: it is {host}, which a"
                " guest with this address could cut off from the cluster",
                Code.INPUT,
            )
    inside = ipaddress.ip_network(network.network)
    fixed = {str(inside[0]), str(inside[-1]), op.gateway or network.gateway}
    if kept := [each for each in op.remove_reserved_ips or () if each in fixed]:
        raise Refused(
            f"address {', '.join(kept)} stays reserved in network {network.name}: it is that of the"
            " network itself, of broadcasts, or of the gateway",
            Code.INPUT,
        )


def _is_used_by_instance(network: Network, address: str, state: ClusterState) -> bool:
    if not taken(network, address):
        return False
    return any(
        nic.network == network.uuid and nic.ip == address
        for instance in state.list_network_instances(network)
        for nic in instance.nics
    )


def plan_remove(op: RemoveNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the removal of the network, which must not be connected."""
    network = state.network(op.network_name)
    groups = [group.name for group in state.groups.values() if network.uuid in group.networks]
    if groups:
        raise Refused(
            f"network {network.name} is connected to {', '.join(sorted(groups))}; disconnect it "
            f"first: gnt-network disconnect {network.name}"
        )
    locks = request(exclusive=[network_lock(network.uuid)])
    return GroupEdit(remove(network), locks, hooks=_hooks("network-remove", network, state))


def plan_rename(op: RenameNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the new name of the network, which must be unused."""
    network = state.network(op.network_name)
    check_label(op.new_name, "new_name")
    if op.new_name != network.name and state.knows(RecordKind.NETWORK, op.new_name):
        raise already_exists(RecordKind.NETWORK, op.new_name)
    here = [state.cluster.master_node]
    names = {"OLD_NAME": network.name, "NEW_NAME": op.new_name}
    locks = request(exclusive=[network_lock(network.uuid), network_lock(op.new_name)])
    return GroupEdit(
        update(network, name=op.new_name),
        locks,
        op.new_name,
        HookCall("network-rename", "NETWORK", {**_describe(network), **names}, here, here),
    )


def _connection_hooks(
    directory: HookDirectory,
    network: Network,
    group: Group,
    state: ClusterState,
    how: FieldValues,
) -> HookCall:
    nodes = [node.uuid for node in state.list_nodes(group)]
    more = {
        "GROUP_NAME": group.name,
        "GROUP_NETWORK_MODE": str(how.get("mode", "")),
        "GROUP_NETWORK_LINK": str(how.get("link", "")),
        "GROUP_NETWORK_VLAN": str(how.get("vlan", "")),
        **_describe(network),
    }
    return HookCall(directory, "NETWORK", more, nodes, nodes)


def plan_connect(op: ConnectNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan the connection of the network to the group."""
    network, group = state.network(op.network_name), state.group(op.group_name)
    if network.uuid in group.networks:
        raise Refused(
            f"network {network.name} is already connected to group {group.name}", Code.EXISTS
        )
    if op.conflicts_check and (strangers := sorted(_find_conflicts(network, group, state))):
        raise Refused(
            f"instances of group {group.name} have addresses of {network.network} but do not use "
            f"the network: {', '.join(strangers)}; change them, or use --no-conflicts-check"
        )
    how = {"mode": op.network_mode.value, "link": op.network_link, "vlan": op.network_vlan}
    check_consistency(NicParameters, how, path="network")
    return GroupEdit(
        _set_networks(group, {**group.networks, network.uuid: how}),
        request(exclusive=[group_lock(group.uuid)], shared=[network_lock(network.uuid)]),
        hooks=_connection_hooks("network-connect", network, group, state, how),
    )


def _instances(group: Group, state: ClusterState) -> Iterator[Instance]:
    for node in state.list_nodes(group):
        yield from state.list_primary_instances(node)


def _find_conflicts(network: Network, group: Group, state: ClusterState) -> set[str]:
    return {
        instance.name
        for instance in _instances(group, state)
        for nic in instance.nics
        if nic.network is None and nic.ip and address_index(network, nic.ip) is not None
    }


def plan_disconnect(op: DisconnectNetwork, state: ClusterState, facts: NodeAnswers) -> GroupEdit:
    """Plan to disconnect the network from the group, whose instances must not use it."""
    network, group = state.network(op.network_name), state.group(op.group_name)
    how = group.networks.get(network.uuid)
    if how is None:
        raise Refused(f"network {network.name} is not connected to group {group.name}", Code.STATE)
    users = {
        instance.name
        for instance in _instances(group, state)
        if any(nic.network == network.uuid for nic in instance.nics)
    }
    if users:
        raise Refused(
            f"network {network.name} is in use by instances: {', '.join(sorted(users))}; move "
            "their network cards to another network first"
        )
    left = {uuid: each for uuid, each in group.networks.items() if uuid != network.uuid}
    return GroupEdit(
        _set_networks(group, left),
        request(exclusive=[group_lock(group.uuid)], shared=[network_lock(network.uuid)]),
        hooks=_connection_hooks("network-disconnect", network, group, state, how),
    )


def _set_networks(group: Group, networks: FieldValues) -> Change:
    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(current(state, group), networks=networks))

    return change


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddNetwork, plan_add, run, hooks=hooks),
    Operation(ModifyNetwork, plan_modify, run, hooks=hooks),
    Operation(RemoveNetwork, plan_remove, run, hooks=hooks),
    Operation(RenameNetwork, plan_rename, run, hooks=hooks),
    Operation(ConnectNetwork, plan_connect, run, hooks=hooks),
    Operation(DisconnectNetwork, plan_disconnect, run, hooks=hooks),
)
