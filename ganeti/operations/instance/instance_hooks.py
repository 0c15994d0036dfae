# SPDX-License-Identifier: BSD-2-Clause
"""Hooks of operations for instances and their variables; hooks interface, version 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.operation import HookCall
from ganeti.rpc.node import HookDirectory

_WITH_DRIVER = frozenset(
    {Template.FILE, Template.SHAREDFILE, Template.GLUSTER, Template.BLOCKDEV, Template.RBD}
)


def instance_hooks(
    directory: HookDirectory,
    subject: InstanceContext,
    state: ClusterState,
    more: Mapping[str, str],
    *,
    before: Sequence[str] | None = None,
    after: Sequence[str] | None = None,
) -> HookCall:
    """Return the hooks of an operation, by default on the master and the instance's nodes.

    The instance is looked up in ``state``, and taken from ``subject`` if it does not exist there.
    """
    known = state.instances.get(subject.instance.uuid)
    instance = subject.instance if known is None else known
    here = [state.cluster.master_node, *(node.uuid for node in subject.nodes)]
    disks = (
        subject.disks
        if known is None
        else tuple(state.disks[uuid] for uuid in instance.disks if uuid in state.disks)
    )
    return HookCall(
        directory,
        "INSTANCE",
        {**environment(state, instance, disks), **more},
        here if before is None else before,
        here if after is None else after,
    )


def environment(state: ClusterState, instance: Instance, disks: tuple[Disk, ...]) -> dict[str, str]:
    """Return the variables of an instance, without the prefix ``GANETI_``."""
    guest = make_guest(state, instance, disks)
    nodes = state.nodes
    template = disks[0].dev_type if disks else Template.DISKLESS
    variables = {
        "OP_TARGET": guest.name,
        "INSTANCE_NAME": guest.name,
        "INSTANCE_PRIMARY": nodes[guest.primary].name,
        "INSTANCE_SECONDARIES": " ".join(nodes[uuid].name for uuid in guest.secondaries),
        "INSTANCE_OS_TYPE": guest.os,
        "INSTANCE_STATUS": instance.admin_state.value,
        "INSTANCE_MINMEM": str(guest.minmem),
        "INSTANCE_MAXMEM": str(guest.memory),
        "INSTANCE_MEMORY": str(guest.memory),
        "INSTANCE_VCPUS": str(guest.vcpus),
        "INSTANCE_DISK_TEMPLATE": template.value,
        "INSTANCE_HYPERVISOR": guest.hypervisor,
        "INSTANCE_TAGS": " ".join(guest.tags),
        "INSTANCE_NIC_COUNT": str(len(guest.nics)),
        "INSTANCE_DISK_COUNT": str(len(guest.disks)),
    }
    variables |= {f"INSTANCE_BE_{name}": str(value) for name, value in guest.beparams.items()}
    variables |= {f"INSTANCE_HV_{name}": str(value) for name, value in guest.hvparams.items()}
    for index, nic in enumerate(guest.nics):
        variables |= {
            f"INSTANCE_NIC{index}_{name}": text for name, text in _nic_variables(nic).items()
        }
    for index, disk in enumerate(guest.disks):
        described = _disk_variables(disk, guest, nodes)
        variables |= {f"INSTANCE_DISK{index}_{name}": text for name, text in described.items()}
    return variables


def _nic_variables(nic: GuestNic) -> dict[str, str]:
    variables = {
        "UUID": nic.uuid,
        "IP": nic.ip or "",
        "MAC": nic.mac,
        "MODE": nic.mode,
        "LINK": nic.link,
        "VLAN": nic.vlan,
    }
    if nic.name is not None:
        variables["NAME"] = nic.name
    if nic.mode in ("bridged", "openvswitch"):
        variables["BRIDGE"] = nic.link
    if nic.network is not None:
        known = {
            "NAME": nic.network.name,
            "UUID": nic.network.uuid,
            "TAGS": " ".join(nic.network.tags),
        }
        if_set = {
            "SUBNET": nic.network.subnet,
            "GATEWAY": nic.network.gateway,
            "SUBNET6": nic.network.subnet6,
            "GATEWAY6": nic.network.gateway6,
            "MAC_PREFIX": nic.network.mac_prefix,
        }
        known |= {name: text for name, text in if_set.items() if text}
        variables |= {f"NETWORK_{name}": text for name, text in known.items()}
    return variables


def _disk_variables(disk: Disk, guest: Guest, nodes: Mapping[str, Node]) -> dict[str, str]:
    variables = {
        "UUID": disk.uuid,
        "SIZE": str(disk.size),
        "MODE": disk.mode.value,
        "DEV_TYPE": disk.dev_type.value,
    }
    if disk.name is not None:
        variables["NAME"] = disk.name
    first, second = (*map(str, disk.logical_id[:2]), "", "")[:2]
    if disk.dev_type is Template.PLAIN:
        variables |= {"VG": first, "ID": second}
    elif disk.dev_type in _WITH_DRIVER:
        variables |= {"DRIVER": first, "ID": second}
    elif disk.dev_type is Template.EXT:
        variables |= {"PROVIDER": first, "ID": second}
    elif disk.dev_type is Template.DRBD:
        one, other, port, minor_of_one, minor_of_other, _ = disk.logical_id
        minors = {one: minor_of_one, other: minor_of_other}
        secondary = other if one == guest.primary else one
        data, meta = disk.children
        variables |= {
            "PNODE": nodes[guest.primary].name,
            "SNODE": nodes[secondary].name,
            "PORT": str(port),
            "PMINOR": str(minors[guest.primary]),
            "SMINOR": str(minors[secondary]),
            "DATA_VG": str(data.logical_id[0]),
            "DATA_ID": str(data.logical_id[1]),
            "META_VG": str(meta.logical_id[0]),
            "META_ID": str(meta.logical_id[1]),
        }
    return variables
