# SPDX-License-Identifier: BSD-2-Clause
"""The operation that renames the cluster and changes its address to that of the new name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ganeti.config.changes.cluster import update_cluster
from ganeti.config.changes.networks import keep_from_pools
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.opcodes.cluster import RenameCluster
from ganeti.operations.name_rules import require_own_name
from ganeti.operations.operation import (
    HookCall,
    NodeAnswers,
    NodeQuery,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.rpc.node import ResolveName
from ganeti.schema.host_names import RULE, is_host_name


@dataclass(frozen=True)
class ClusterRename:
    """Name and address of the cluster, old and new."""

    old: tuple[str, str]
    new: tuple[str, str]

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: RenameCluster, state: ClusterState) -> Sequence[NodeQuery]:
    return [NodeQuery([state.master], ResolveName(name=op.name))]


def plan(op: RenameCluster, state: ClusterState, facts: NodeAnswers) -> ClusterRename:
    """Plan the new name and address."""
    if not is_host_name(op.name):
        raise Invalid([Problem("name", RULE)])
    require_own_name(RecordKind.CLUSTER, op.name, state)
    cluster = state.cluster
    family = ipaddress.ip_address(cluster.master_ip).version
    found = facts.answer_of(state.master, ResolveName).addresses
    alike = [each for each in found if ipaddress.ip_address(each).version == family]
    if not alike:
        raise Refused(
            f"{op.name} does not resolve to an IPv{family} address; add it to the DNS, or to "
            "/etc/hosts on the master",
            Code.RESOLVER,
        )
    address = cluster.master_ip if cluster.master_ip in alike else alike[0]
    if (op.name, address) == (cluster.cluster_name, cluster.master_ip):
        raise Refused(
            f"the cluster already has the name {op.name} and the address {address}", Code.INPUT
        )
    for owner in _find_owners(address, state):
        raise Refused(f"{op.name} resolves to {address}, the address of {owner}", Code.NOT_UNIQUE)
    return ClusterRename((cluster.cluster_name, cluster.master_ip), (op.name, address))


def _find_owners(address: str, state: ClusterState) -> Iterator[str]:
    """Yield other owners of an address; the master may have the cluster's as its only one."""
    for node in state.nodes.values():
        if node != state.master and address in (node.primary_ip, node.secondary_ip):
            yield f"node {node.name}"
    for instance in state.instances.values():
        if address in [nic.ip for nic in instance.nics]:
            yield f"instance {instance.name}"


async def run(plan: ClusterRename, tools: Tools) -> ResultWithCommit:
    name, address = plan.new
    tools.progress.log_message(f"the cluster now has the name {name} and the address {address}")
    tools.progress.log_message(
        "the certificate of the remote API has the old name; to renew it: "
        "gnt-cluster renew-crypto --new-rapi-certificate"
    )
    renamed = update_cluster(cluster_name=name, master_ip=address)
    return ResultWithCommit(name, together(renamed, keep_from_pools(address)))


def hooks(plan: ClusterRename, state: ClusterState) -> HookCall:
    more = {"OP_TARGET": plan.old[0], "NEW_NAME": plan.new[0]}
    return HookCall("cluster-rename", "CLUSTER", more, [state.cluster.master_node], [*state.nodes])


def preview(plan: ClusterRename) -> dict[str, str]:
    """Return the result of a dry run."""
    return {"name": plan.new[0], "address": plan.new[1]}


OPERATION = Operation(RenameCluster, plan, run, questions, hooks, preview)
