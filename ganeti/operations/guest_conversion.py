# SPDX-License-Identifier: BSD-2-Clause
"""Conversion of instances to guests, with all parameters filled in, as nodes get them."""

from __future__ import annotations

from collections.abc import Mapping

from ganeti.config.state import ClusterState
from ganeti.model.disk import POOL, Disk, Template, get_pool
from ganeti.model.guest import Guest, GuestNetwork, GuestNic
from ganeti.model.instance import Instance, Nic
from ganeti.model.mirror import add_ends
from ganeti.model.parameters.filling import (
    fill_backend,
    fill_disk,
    fill_hypervisor,
    fill_os,
    nic_parameters_of,
)
from ganeti.model.traffic_rules import ANTI_SPOOFING_TAG, TrafficRules
from ganeti.schema.records import replace
from ganeti.schema.types import Value

_STRIPES = ("data-stripes", "meta-stripes")
"""The parameters of a drbd disk with the stripes of its volumes, in the order of these."""

NOTHING: Mapping[str, Value] = {}


def make_guest(
    state: ClusterState,
    instance: Instance,
    disks: tuple[Disk, ...] | None = None,
    *,
    hvparams: Mapping[str, Value] = NOTHING,
    beparams: Mapping[str, Value] = NOTHING,
    osparams: Mapping[str, Value] = NOTHING,
) -> Guest:
    """Return the guest of ``instance``.

    ``disks`` replace those in the state, for disks that are not recorded yet; the parameters given
    here override those of the instance.
    """
    cluster = state.cluster
    its_disks = state.get_disks(instance) if disks is None else disks
    return Guest(
        name=instance.name,
        uuid=instance.uuid,
        hypervisor=instance.hypervisor,
        hvparams={**fill_hypervisor(cluster, instance), **hvparams},
        beparams={**fill_backend(cluster, instance), **beparams},
        os=instance.os,
        osparams={**fill_os(cluster, instance), **osparams},
        primary=instance.primary_node,
        secondaries=secondaries(instance, its_disks),
        nics=tuple(_make_nic(state, nic) for nic in instance.nics),
        disks=tuple(fill_disk_parameters(state, instance, disk) for disk in its_disks),
        ctime=instance.ctime,
        mtime=instance.mtime,
        tags=instance.tags,
        network_port=instance.network_port,
    )


def fill_disk_parameters(state: ClusterState, instance: Instance, disk: Disk) -> Disk:
    """Return the disk as it is sent to nodes, with template parameters and mirror ends."""
    group = state.groups[state.nodes[instance.primary_node].group]
    params = {**fill_disk(state.cluster, group, disk.dev_type), **(disk.params or {})}
    if disk.dev_type is Template.PLAIN:
        # That of the group is for new disks, which record it; it is not for volumes of a mirror.
        params[POOL] = get_pool(disk)
    children = tuple(fill_disk_parameters(state, instance, child) for child in disk.children)
    if disk.dev_type is Template.DRBD:
        children = tuple(
            replace(child, params={**(child.params or {}), "stripes": params[name]})
            for child, name in zip(children, _STRIPES, strict=False)
        )
    return add_ends(replace(disk, params=params, children=children), state.nodes)


def secondaries(instance: Instance, disks: tuple[Disk, ...]) -> tuple[str, ...]:
    """Return the UUIDs of the disks' nodes other than the primary."""
    nodes = dict.fromkeys(node for disk in disks for node in disk.nodes)
    nodes.pop(instance.primary_node, None)
    return tuple(nodes)


def traffic_rules_of(state: ClusterState, nic: Nic) -> TrafficRules:
    """Return the rules of a card, with what the tags of its network add."""
    parameters = nic_parameters_of(state.cluster, nic)
    tags = state.networks[nic.network].tags if nic.network is not None else ()
    return TrafficRules(
        anti_spoofing=parameters.anti_spoofing or ANTI_SPOOFING_TAG in tags,
        firewall=parameters.firewall,
        bandwidth_in=parameters.bandwidth_in,
        bandwidth_out=parameters.bandwidth_out,
    )


def _make_nic(state: ClusterState, nic: Nic) -> GuestNic:
    parameters = nic_parameters_of(state.cluster, nic)
    network = None
    if nic.network is not None:
        found = state.networks[nic.network]
        network = GuestNetwork(
            name=found.name,
            uuid=found.uuid,
            tags=found.tags,
            subnet=found.network,
            gateway=found.gateway or "",
            subnet6=found.network6 or "",
            gateway6=found.gateway6 or "",
            mac_prefix=found.mac_prefix or "",
        )
    return GuestNic(
        uuid=nic.uuid,
        mac=nic.mac,
        mode=parameters.mode,
        link=parameters.link,
        vlan=parameters.vlan,
        ip=nic.ip,
        name=nic.name,
        network=network,
        rules=traffic_rules_of(state, nic) or None,
    )
