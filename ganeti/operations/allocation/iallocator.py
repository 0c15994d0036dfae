# SPDX-License-Identifier: BSD-2-Clause
"""Selection of the iallocator, requests to external ones, and their replies.

No name, or ``.``, selects the cluster's default iallocator. The built-in one is used if there is no
default, and for ``hail`` if no program with this name is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.config.node_usage import NodeUsage
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.cluster_settings import BUILT_IN_ALLOCATOR as BUILT_IN
from ganeti.model.disk import Template
from ganeti.model.node import Node
from ganeti.model.parameters.filling import default_backend_of
from ganeti.operations.allocation.candidates import get_held_space, storage_units
from ganeti.operations.allocation.iallocator_protocol import (
    NodeReport,
    encode_request,
    nodes_of,
    result_of,
)
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.schema.types import Value

DEFAULT = "."


def make_request(
    asked: str | None, request: Mapping[str, object], state: ClusterState
) -> IAllocatorRequest | None:
    """Return the request to the iallocator named ``asked``, or None for the built-in one."""
    cluster = state.cluster
    by_default = asked in (None, DEFAULT)
    name = cluster.default_iallocator if by_default else asked
    if not name:
        return None
    options = _format_options(cluster.default_iallocator_params) if by_default else []
    return IAllocatorRequest(name, request, options, optional=name == BUILT_IN)


def room(state: ClusterState) -> NodeQuery:
    """Return the query for the resources of all online nodes.

    All are needed for every request, because iallocators reject input without the data of a node.
    """
    asked = DescribeNode(
        hypervisors=state.cluster.enabled_hypervisors, storage=storage_units(state.cluster)
    )
    return NodeQuery([node for node in state.nodes.values() if not node.offline], asked)


def format_request(request: Mapping[str, object], state: ClusterState, facts: NodeAnswers) -> str:
    """Return the input of an iallocator, with the node data from ``room``."""
    present = {
        node.uuid: _node_report(known, state, state.get_usage(node))
        for node in state.nodes.values()
        if (known := facts.known(node, DescribeNode)) is not None
    }
    return encode_request(state, present, request)


def _format_options(parameters: Mapping[str, Value]) -> list[str]:
    return [
        f"--{name}" if value is None else f"--{name}={value}" for name, value in parameters.items()
    ]


def _node_report(facts: NodeInfo, state: ClusterState, usage: NodeUsage) -> NodeReport:
    uses_groups = {Template.PLAIN.value, Template.DRBD.value} & {
        *state.cluster.enabled_disk_templates
    }
    kind = "lvm-vg" if uses_groups and state.cluster.volume_group_name else "file"
    template = Template.PLAIN if kind == "lvm-vg" else Template.FILE
    places = [each for each in facts.storage if each.kind == kind] or list(facts.storage)
    return NodeReport(
        total_memory=facts.memory_total,
        reserved_memory=facts.memory_node,
        free_memory=facts.memory_free - usage.held.total(default_backend_of(state.cluster).maxmem),
        total_disk=max((each.size for each in places), default=0),
        free_disk=max((each.free for each in places), default=0) - get_held_space(usage, template),
        total_cpus=facts.cpus,
        reserved_cpus=facts.cpus_node,
        guests={name: guest.memory for name, guest in facts.guests.items()},
    )


def advised(facts: NodeAnswers, wanted: int, state: ClusterState) -> tuple[Node, ...] | None:
    """Return the nodes that an external iallocator has chosen, or None if none was used.

    :raises Refused: it has chosen none, with its reason; or one that accepts no instances.
    """
    if facts.advice is None:
        return None
    name = facts.advice.name
    nodes = nodes_of(name, _get_reply(facts), wanted, state)
    if len({node.uuid for node in nodes}) != len(nodes):
        raise Refused(f"iallocator {name} chose node {nodes[0].name} twice", Code.ENVIRONMENT)
    for node in nodes:
        if (reason := _find_objection(node)) is not None:
            raise Refused(
                f"iallocator {name} chose node {node.name}, which {reason}", Code.ENVIRONMENT
            )
    return nodes


def _find_objection(node: Node) -> str | None:
    """Return why a node accepts no instances; None if it does."""
    if node.offline:
        return "is offline"
    if node.drained:
        return "is drained"
    return None if node.vm_capable else "is not vm_capable"


def get_allocator_result(facts: NodeAnswers) -> Any:
    """Return the result of an external iallocator, or None if none was used.

    The form depends on the type of the request.

    :raises Refused: it has found no solution; with its reason.
    """
    return None if facts.advice is None else result_of(facts.advice.name, _get_reply(facts))


def _get_reply(facts: NodeAnswers) -> str:
    assert facts.advice is not None
    answer, name = facts.advice.answer, facts.advice.name
    if not isinstance(answer, Failed):
        return answer
    if answer.code is Code.UNKNOWN:
        raise Refused(
            f"iallocator {name} is not installed; install it or choose another one", answer.code
        )
    raise Refused(f"iallocator {name} failed: {answer}", Code.RESOURCES)


def check_not_both(asked: str | None, nodes: Sequence[str | None]) -> None:
    """Check that a request does not have both an iallocator and nodes.

    :raises Refused: it has both.
    """
    if asked is not None and any(nodes):
        raise Refused("give either nodes or an iallocator, not both", Code.INPUT)
