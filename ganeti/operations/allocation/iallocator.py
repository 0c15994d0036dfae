# SPDX-License-Identifier: BSD-2-Clause
"""Which allocator chooses nodes, what an external one is asked, and what it has answered.

Without a name it is the cluster's default one, as with ``.``; no default, or ``hail`` where no
program of that name is installed, is the built-in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.model.cluster_settings import BUILT_IN_ALLOCATOR as BUILT_IN
from ganeti.model.disk import Template
from ganeti.model.node import Node
from ganeti.operations.allocation.candidates import storage_units
from ganeti.operations.allocation.iallocator_protocol import (
    NodeReport,
    nodes_of,
    request_text,
    result_of,
)
from ganeti.operations.operation import IAllocatorRequest, NodeAnswers, NodeQuery
from ganeti.rpc.node import DescribeNode, NodeInfo

DEFAULT = "."


def consultation(
    asked: str | None, request: Mapping[str, Any], state: ClusterState
) -> IAllocatorRequest | None:
    """The question to the allocator that is ``asked`` for; None if that is the built-in one."""
    cluster = state.cluster
    by_default = asked in (None, DEFAULT)
    name = cluster.default_iallocator if by_default else asked
    if not name:
        return None
    options = _options(cluster.default_iallocator_params) if by_default else []
    return IAllocatorRequest(name, request, options, optional=name == BUILT_IN)


def room(state: ClusterState) -> NodeQuery:
    """How much room there is on every node that is online.

    An allocator takes a node of which it hears nothing for a mistake, whatever it is asked.
    """
    asked = DescribeNode(
        hypervisors=state.cluster.enabled_hypervisors, storage=storage_units(state.cluster)
    )
    return NodeQuery([node for node in state.nodes.values() if not node.offline], asked)


def request_for(request: Mapping[str, Any], state: ClusterState, facts: NodeAnswers) -> str:
    """The text that an allocator is given, with what the nodes have answered to ``room``."""
    present = {
        node.uuid: _present(known, state)
        for node in state.nodes.values()
        if (known := facts.known(node, DescribeNode)) is not None
    }
    return request_text(state, present, request)


def _options(parameters: Mapping[str, Any]) -> list[str]:
    return [
        f"--{name}" if value is None else f"--{name}={value}" for name, value in parameters.items()
    ]


def _present(facts: NodeInfo, state: ClusterState) -> NodeReport:
    uses_groups = {Template.PLAIN.value, Template.DRBD.value} & {
        *state.cluster.enabled_disk_templates
    }
    kind = "lvm-vg" if uses_groups and state.cluster.volume_group_name else "file"
    places = [each for each in facts.storage if each.kind == kind] or list(facts.storage)
    return NodeReport(
        total_memory=facts.memory_total,
        reserved_memory=facts.memory_node,
        free_memory=facts.memory_free,
        total_disk=max((each.size for each in places), default=0),
        free_disk=max((each.free for each in places), default=0),
        total_cpus=facts.cpus,
        reserved_cpus=facts.cpus_node,
        guests={name: guest.memory for name, guest in facts.guests.items()},
    )


def advised(facts: NodeAnswers, wanted: int, state: ClusterState) -> tuple[Node, ...] | None:
    """The nodes that an external allocator has chosen; None if none was asked.

    :raises Refused: it has chosen none, and why.
    """
    if facts.advice is None:
        return None
    return nodes_of(facts.advice.name, _answer(facts), wanted, state)


def advised_result(facts: NodeAnswers) -> Any:
    """The result of an external allocator, in the form of its mode; None if none was asked.

    :raises Refused: it has found none, and why.
    """
    return None if facts.advice is None else result_of(facts.advice.name, _answer(facts))


def _answer(facts: NodeAnswers) -> str:
    assert facts.advice is not None
    answer, name = facts.advice.answer, facts.advice.name
    if not isinstance(answer, Failed):
        return answer
    if answer.code is Code.UNKNOWN:
        raise Refused(
            f"there is no allocator named {name}; install it, or name another", answer.code
        )
    raise Refused(f"allocator {name} failed: {answer}", Code.RESOURCES)


def require_one(asked: str | None, nodes: Sequence[str | None]) -> None:
    """Refuse a request that names both an allocator and nodes.

    :raises Refused: it does.
    """
    if asked is not None and any(nodes):
        raise Refused("name either nodes or an allocator that chooses them, not both", Code.INPUT)
