# SPDX-License-Identifier: BSD-2-Clause
"""Operations for queries as jobs, with the same answers as direct queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from ganeti.config.state import ClusterState
from ganeti.locking.names import LockRequest
from ganeti.opcodes.cluster import DescribeCluster, QueryConfigValuesOpcode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.os import DiagnoseExtStorage, DiagnoseOSes
from ganeti.opcodes.query import QueryFieldsOpcode, QueryOpcode
from ganeti.operations.operation import AnyOperation, NodeAnswers, Operation, Tools

Q = TypeVar("Q", bound=Opcode)


@dataclass(frozen=True)
class QueryPlan(Generic[Q]):
    """A query, which needs no locks."""

    op: Q

    @property
    def locks(self) -> LockRequest:
        return {}


def plan(op: Q, state: ClusterState, facts: NodeAnswers) -> QueryPlan[Q]:
    """Plan the query."""
    return QueryPlan(op)


async def _run_query(plan: QueryPlan[QueryOpcode], tools: Tools) -> object:
    return _to_json_types(
        await tools.answers.query(plan.op.what.value, plan.op.fields, plan.op.qfilter)
    )


async def _run_query_fields(plan: QueryPlan[QueryFieldsOpcode], tools: Tools) -> object:
    return await tools.answers.fields(plan.op.what.value, plan.op.fields)


async def _list_oses(plan: QueryPlan[DiagnoseOSes], tools: Tools) -> object:
    return await tools.answers.rows("os", plan.op.names, plan.op.output_fields)


async def _list_providers(plan: QueryPlan[DiagnoseExtStorage], tools: Tools) -> object:
    return await tools.answers.rows("extstorage", plan.op.names, plan.op.output_fields)


async def _describe_cluster(plan: QueryPlan[DescribeCluster], tools: Tools) -> object:
    return _to_json_types(await tools.answers.cluster_info())


def _to_json_types(answer: object) -> object:
    """Return an answer, parts of which are encoded, as plain JSON types, as in job results."""
    return msgspec.json.decode(msgspec.json.encode(answer))


async def _query_config_values(plan: QueryPlan[QueryConfigValuesOpcode], tools: Tools) -> object:
    return await tools.answers.config_values(plan.op.output_fields)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(QueryOpcode, plan, _run_query),
    Operation(QueryFieldsOpcode, plan, _run_query_fields),
    Operation(DiagnoseOSes, plan, _list_oses),
    Operation(DiagnoseExtStorage, plan, _list_providers),
    Operation(DescribeCluster, plan, _describe_cluster),
    Operation(QueryConfigValuesOpcode, plan, _query_config_values),
)
