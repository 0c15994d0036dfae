# SPDX-License-Identifier: BSD-2-Clause
"""Make the node queries of a plan, or of a step that needs to know more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ganeti.operations.operation import (
    NodeAnswers,
    NodeQuery,
    RecentAnswers,
)
from ganeti.rpc.call import Call, Nodes


async def gather(
    questions: Sequence[NodeQuery],
    nodes: Nodes,
    identity: str = "",
    recent: RecentAnswers | None = None,
) -> NodeAnswers:
    """Make all queries and return the answers, including errors.

    Without ``recent``, nodes are asked each time.
    """
    answers: dict[tuple[str, type[Call[object]]], object] = {}
    for question in questions:
        asked: Mapping[str, object]
        if recent is not None and question.max_age is not None:
            asked = await recent.recent(question.nodes, question.max_age)
        else:
            asked = await nodes.ask_all(question.nodes, question.call)
        answers.update({(uuid, type(question.call)): answer for uuid, answer in asked.items()})
    return NodeAnswers(answers, identity)
