# SPDX-License-Identifier: BSD-2-Clause
"""Operations for tags of the cluster, groups, nodes, instances and networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ganeti.config.changes.tags import add_tags, remove_tags
from ganeti.config.state import ClusterState, Stored
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.locking.names import (
    CLUSTER,
    LockName,
    LockRequest,
    group_lock,
    instance_lock,
    network_lock,
    node_lock,
    request,
)
from ganeti.model.cluster import Cluster
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.opcodes.tags import AddTags, GetTags, RemoveTags, SearchTags, TagKind
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.schema.patterns import Pattern

Tagged = Cluster | Group | Node | Instance | Network


@dataclass(frozen=True)
class TagChange:
    """A change of an object's tags."""

    lock: LockName
    change: Change

    @property
    def locks(self) -> LockRequest:
        # Tags of the cluster conflict with no other operation.
        return {} if self.lock == CLUSTER else request(exclusive=[self.lock])


@dataclass(frozen=True)
class QueryResult:
    """An answer from the configuration alone."""

    answer: object

    @property
    def locks(self) -> LockRequest:
        return {}


def find_tagged_object(
    kind: TagKind, name: str | None, state: ClusterState
) -> tuple[Tagged, LockName]:
    """Return the tagged object and its lock.

    :raises Refused: the object does not exist, or its name is missing.
    """
    if kind is TagKind.CLUSTER:
        return state.cluster, CLUSTER
    if not name:
        raise Refused(
            f"the name of the {kind.value} is missing; give the parameter name", Code.INPUT
        )
    match kind:
        case TagKind.INSTANCE:
            instance = state.instance(name)
            return instance, instance_lock(instance.uuid)
        case TagKind.NODE:
            node = state.node(name)
            return node, node_lock(node.uuid)
        case TagKind.NODEGROUP:
            group = state.group(name)
            return group, group_lock(group.uuid)
        case TagKind.NETWORK:
            network = state.network(name)
            return network, network_lock(network.uuid)


def plan_add(op: AddTags, state: ClusterState, facts: NodeAnswers) -> TagChange:
    """Plan to add the tags, which must be valid."""
    target, lock = find_tagged_object(op.kind, op.name, state)
    change = add_tags(target, op.tags)
    # An impossible change is refused here, before the wait for locks.
    change(state)
    return TagChange(lock, change)


def plan_remove(op: RemoveTags, state: ClusterState, facts: NodeAnswers) -> TagChange:
    """Plan to remove the tags, which must exist."""
    target, lock = find_tagged_object(op.kind, op.name, state)
    change = remove_tags(target, op.tags)
    change(state)
    return TagChange(lock, change)


async def run_change(plan: TagChange, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(None, plan.change)


def plan_get(op: GetTags, state: ClusterState, facts: NodeAnswers) -> QueryResult:
    """Plan to return the tags of the object."""
    return QueryResult(list(find_tagged_object(op.kind, op.name, state)[0].tags))


def plan_search(op: SearchTags, state: ClusterState, facts: NodeAnswers) -> QueryResult:
    """Plan to return the matching tags, each with the path of its object."""
    pattern = Pattern(op.pattern)
    # The pattern, which may be costly, is applied to tags, however many objects have them.
    found = [
        [_path(each), tag]
        for tag, objects in state.list_tags()
        if pattern.found(tag)
        for each in objects
    ]
    return QueryResult(sorted(found))


def _path(record: Stored) -> str:
    """Return the path of an object in the results of a search."""
    if isinstance(record, Cluster):
        return "/cluster"
    return f"/{_PATHS[type(record)]}/{getattr(record, 'name', '')}"


_PATHS: Mapping[type[Stored], str] = {
    Group: "nodegroup",
    Node: "nodes",
    Instance: "instances",
    Network: "network",
}


async def answer(plan: QueryResult, tools: Tools) -> object:
    return plan.answer


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddTags, plan_add, run_change),
    Operation(RemoveTags, plan_remove, run_change),
    Operation(GetTags, plan_get, answer),
    Operation(SearchTags, plan_search, answer),
)
