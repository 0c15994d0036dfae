# SPDX-License-Identifier: BSD-2-Clause
"""The cluster's address: where it is configured, and the opcodes that turn it on and off."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from ganeti.config.own_address import has_own_address
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import CLUSTER, LockRequest, request
from ganeti.opcodes.cluster import ActivateMasterIP, DeactivateMasterIP
from ganeti.operations.operation import AnyOperation, HookCall, NodeAnswers, Operation, Tools
from ganeti.rpc.master_address import ReleaseMasterAddress
from ganeti.rpc.node import HookDirectory


def find_address(state: ClusterState) -> ReleaseMasterAddress | None:
    """Return the address that the master's host has, with netmask and device.

    None if it is one that does not move.
    """
    cluster = state.cluster
    if not has_own_address(state):
        return None
    return ReleaseMasterAddress(
        address=cluster.master_ip,
        netmask=cluster.master_netmask,
        device=cluster.master_netdev,
        by_script=cluster.use_external_mip_script,
    )


@dataclass(frozen=True)
class AddressPlan:
    """The address that is turned on or off, on the device of the node ``master``."""

    address: ReleaseMasterAddress
    master: str

    @property
    def locks(self) -> LockRequest:
        return request(shared=[CLUSTER])


def plan(
    op: ActivateMasterIP | DeactivateMasterIP, state: ClusterState, facts: NodeAnswers
) -> AddressPlan:
    """Plan to turn the cluster's address on or off.

    :raises Refused: the address is one that does not move with the role of the master.
    """
    address = find_address(state)
    if address is None:
        raise Refused(
            f"the cluster's address {state.cluster.master_ip} belongs to a node or to the loopback "
            "device and does not move with the master; to use another: gnt-cluster rename, with a "
            "name that resolves to it",
            Code.STATE,
        )
    return AddressPlan(address, state.cluster.master_node)


async def run_activation(plan: AddressPlan, tools: Tools) -> None:
    """Configure the address on the master's host."""
    await tools.address.activate_address()
    tools.progress.log_message(f"the master has the address {_describe(plan)}")


async def run_deactivation(plan: AddressPlan, tools: Tools) -> None:
    """Remove the address from the master's host."""
    await tools.address.deactivate_address()
    tools.progress.log_message(
        f"the master has given up the address {_describe(plan)}; it gets it back by gnt-cluster"
        " activate-master-ip, or when the master daemon is started"
    )


def _describe(plan: AddressPlan) -> str:
    return f"{plan.address.address}/{plan.address.netmask} on {plan.address.device}"


def _make_hooks(directory: HookDirectory, plan: AddressPlan) -> HookCall:
    address = plan.address
    environment = {
        "CLUSTER_IP_VERSION": str(ip_address(address.address).version),
        "MASTER_IP": address.address,
        "MASTER_NETDEV": address.device,
        "MASTER_NETMASK": str(address.netmask),
    }
    return HookCall(directory, "CLUSTER", environment, (plan.master,), (plan.master,))


def activation_hooks(plan: AddressPlan, state: ClusterState) -> HookCall:
    return _make_hooks("master-ip-turnup", plan)


def deactivation_hooks(plan: AddressPlan, state: ClusterState) -> HookCall:
    return _make_hooks("master-ip-turndown", plan)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(ActivateMasterIP, plan, run_activation, hooks=activation_hooks),
    Operation(DeactivateMasterIP, plan, run_deactivation, hooks=deactivation_hooks),
)
