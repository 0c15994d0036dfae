# SPDX-License-Identifier: BSD-2-Clause
"""Questions that are put as jobs; the answers are those that anybody gets without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ganeti.config.state import ClusterState
from ganeti.locking.names import LockRequest
from ganeti.opcodes.cluster import DescribeCluster, QueryConfigValuesOpcode
from ganeti.opcodes.os import DiagnoseExtStorage, DiagnoseOSes
from ganeti.opcodes.query import QueryFieldsOpcode, QueryOpcode
from ganeti.operations.operation import NodeAnswers, Operation, Tools


@dataclass(frozen=True)
class QueryPlan:
    """A question; answering it needs no locks."""

    op: Any

    @property
    def locks(self) -> LockRequest:
        return {}


def plan(op: Any, state: ClusterState, facts: NodeAnswers) -> QueryPlan:
    """Take the question as it is."""
    return QueryPlan(op)


async def _query(plan: QueryPlan, tools: Tools) -> Any:
    return _decoded(await tools.answers.query(plan.op.what.value, plan.op.fields, plan.op.qfilter))


async def _fields(plan: QueryPlan, tools: Tools) -> Any:
    return await tools.answers.fields(plan.op.what.value, plan.op.fields)


async def _oses(plan: QueryPlan, tools: Tools) -> Any:
    return await tools.answers.rows("os", plan.op.names, plan.op.output_fields)


async def _providers(plan: QueryPlan, tools: Tools) -> Any:
    return await tools.answers.rows("extstorage", plan.op.names, plan.op.output_fields)


async def _cluster(plan: QueryPlan, tools: Tools) -> Any:
    return _decoded(await tools.answers.cluster_info())


def _decoded(answer: Any) -> Any:
    """Return an answer, parts of which are encoded, in the form of the results of jobs."""
    return msgspec.json.decode(msgspec.json.encode(answer))


async def _values(plan: QueryPlan, tools: Tools) -> Any:
    return await tools.answers.config_values(plan.op.output_fields)


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(QueryOpcode, plan, _query),
    Operation(QueryFieldsOpcode, plan, _fields),
    Operation(DiagnoseOSes, plan, _oses),
    Operation(DiagnoseExtStorage, plan, _providers),
    Operation(DescribeCluster, plan, _cluster),
    Operation(QueryConfigValuesOpcode, plan, _values),
)
