# SPDX-License-Identifier: BSD-2-Clause
"""The operation that adds a node which has joined: its node daemon runs with a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.networks import keep_from_pools
from ganeti.config.changes.nodes import add_node, set_role
from ganeti.config.changes.objects import together, update
from ganeti.config.state import ClusterState, RecordKind
from ganeti.config.writer import Change
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockLevel, LockRequest, all_of, request
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.model.group import Group
from ganeti.model.node import Node, NodeRole
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import checked
from ganeti.opcodes.node import AddNode
from ganeti.operations.member_list import distribute_member_list, list_issued_certificates
from ganeti.operations.name_rules import check_address, require_node_addresses, require_own_name
from ganeti.operations.node.node_hooks import membership_hooks
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.node import AskVersion, VerifyNode
from ganeti.schema.host_names import RULE, is_host_name, normalize
from ganeti.schema.records import replace

CLIENT_CERTIFICATE = "client-cert"


@dataclass(frozen=True)
class NodeAddition:
    """A node to add; ``known`` is its present record if it is readded."""

    op: AddNode
    node: Node
    known: Node | None
    candidate: bool

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[all_of(LockLevel.NODE)])


def questions(op: AddNode, state: ClusterState) -> Sequence[NodeQuery]:
    node = _draft_node(op, state)
    verify = VerifyNode(what={CLIENT_CERTIFICATE: None}, cluster_name=state.cluster.cluster_name)
    return [NodeQuery([node], AskVersion()), NodeQuery([node], verify)]


def plan(op: AddNode, state: ClusterState, facts: NodeAnswers) -> NodeAddition:
    """Plan the node's record and role."""
    known = state.node(op.node_name) if op.readd else None
    if known is None and state.knows(RecordKind.NODE, op.node_name):
        raise Refused(
            f"node {op.node_name} is already a member; use --readd to set it up again",
            Code.EXISTS,
        )
    node = _draft_node(op, state)
    if known is None:
        _check_name(node.name, state)
    require_node_addresses(node, state)
    version = facts.answer_of(node, AskVersion)
    if version.protocol != CONFIG_VERSION:
        raise Refused(
            f"node {node.name} has protocol version {version.protocol}, the master "
            f"{CONFIG_VERSION}; install the same release on both"
        )
    return NodeAddition(op, node, known, _may_be_candidate(node, state))


def _check_name(name: str, state: ClusterState) -> None:
    """Check the name of a new node.

    It must be in normalized form, because the node's certificate and daemon have the same name.

    :raises Invalid: it is not a normalized host name.
    :raises Refused: it is the name of the cluster or of an instance.
    """
    if name != normalize(name) or not is_host_name(name):
        raise Invalid([Problem("node_name", f"{RULE}, in lower case and without a trailing dot")])
    require_own_name(RecordKind.NODE, name, state)


def _draft_node(op: AddNode, state: ClusterState) -> Node:
    """Return the record of the node without its final UUID and role."""
    check_address(op.primary_ip, "primary_ip")
    check_address(op.secondary_ip, "secondary_ip")
    if op.readd:
        node = state.node(op.node_name)
        if problems := [
            Problem(
                name, f"cannot be changed by readd (it is {has}); use gnt-node modify or gnt-group"
            )
            for name, has in _unchanged_fields(node, state).items()
            if (given := getattr(op, name)) is not None and given != has
        ]:
            raise Invalid(problems)
        # A node that is marked offline would not be asked.
        return replace(node, offline=False, primary_ip=op.primary_ip or node.primary_ip)
    if op.primary_ip is None:
        raise Refused(
            f"the address of node {op.node_name} is unknown; give it with --primary-ip", Code.INPUT
        )
    ndparams = checked(NodeParameters, op.ndparams or {}, path="ndparams", for_one=True)
    return Node(
        # Answers of nodes are found by UUID, and the final one is not known yet.
        uuid=op.node_name,
        serial_no=1,
        ctime=0.0,
        mtime=0.0,
        tags=(),
        name=op.node_name,
        primary_ip=op.primary_ip,
        secondary_ip=op.secondary_ip or op.primary_ip,
        master_candidate=False,
        offline=False,
        drained=False,
        group=_group(op, state).uuid,
        master_capable=op.master_capable is not False,
        vm_capable=op.vm_capable is not False,
        ndparams=ndparams,
        powered=True,
    )


def _unchanged_fields(node: Node, state: ClusterState) -> dict[str, object]:
    """Return the fields that a readd does not change."""
    return {
        "group": state.groups[node.group].name,
        "secondary_ip": node.secondary_ip,
        "master_capable": node.master_capable,
        "vm_capable": node.vm_capable,
        "ndparams": node.ndparams,
    }


def _group(op: AddNode, state: ClusterState) -> Group:
    if op.group is not None:
        return state.group(op.group)
    groups = sorted(state.groups.values(), key=lambda group: (group.ctime, group.name))
    return groups[0]


def _may_be_candidate(node: Node, state: ClusterState) -> bool:
    candidates = sum(1 for each in state.nodes.values() if each.master_candidate)
    return node.master_capable and candidates < state.cluster.candidate_pool_size


async def run(plan: NodeAddition, tools: Tools) -> None:
    state = tools.config.state()
    node = plan.node if plan.known else replace(plan.node, uuid=tools.ids.uuid())
    # Asked again, as the job may have waited long for its locks.
    await tools.progress.interruptible(tools.nodes.ask(node, AskVersion()))
    role = NodeRole.CANDIDATE if plan.candidate else NodeRole.REGULAR
    certificate = await certificate_of(node, state, tools)
    await tools.config.change(_make_change(plan, node, role, certificate))
    await distribute_member_list(tools)
    what = "again" if plan.known else "now"
    tools.progress.log_message(
        f"node {node.name} is {what} a member of the cluster, with role {role.value}"
    )


def _make_change(plan: NodeAddition, node: Node, role: NodeRole, certificate: str) -> Change:
    if plan.known is None:
        member = replace(node, master_candidate=role is NodeRole.CANDIDATE)
        added = add_node(member, certificate)
    else:
        back = update(plan.known, offline=False, primary_ip=node.primary_ip)
        added = together(back, set_role(plan.known, role, certificate))
    # The addresses of nodes must not be given to instances.
    return together(added, keep_from_pools(node.primary_ip, node.secondary_ip))


async def certificate_of(node: Node, state: ClusterState, tools: Tools) -> str:
    """Return the fingerprint of the certificate that a node presents.

    :raises Failed: it has none, or one that was not issued to it.
    """
    verify = VerifyNode(what={CLIENT_CERTIFICATE: None}, cluster_name=state.cluster.cluster_name)
    answers = await tools.progress.interruptible(tools.nodes.ask(node, verify))
    match answer := answers.get(CLIENT_CERTIFICATE):
        case [None, str(fingerprint)] if fingerprint in list_issued_certificates(state, node.name):
            return fingerprint
        case [None, str(fingerprint)]:
            raise Failed(
                f"node {node.name} presents the certificate {fingerprint[:16]}..., which was not"
                " issued by a join token of this cluster within the last day; stop its node daemon,"
                " and join it again with the command that gnt-node add then prints"
            )
    raise Failed(f"node {node.name} does not report its certificate: {answer}")


def hooks(plan: NodeAddition, state: ClusterState) -> HookCall:
    known = state.knows(RecordKind.NODE, plan.node.name)
    node = state.node(plan.node.name) if known else plan.node
    return membership_hooks("node-add", node, state, after=[node.uuid])


OPERATION = Operation(AddNode, plan, run, questions, hooks)
