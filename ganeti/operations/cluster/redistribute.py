# SPDX-License-Identifier: BSD-2-Clause
"""The operation that distributes ssconf and ancillary files to all nodes again."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganeti import __version__
from ganeti.config.ssconf import ssconf
from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.locking.names import LockLevel, LockMode, LockRequest, all_of
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RedistributeConfig
from ganeti.operations.operation import NodeAnswers, Operation, Tools
from ganeti.rpc.node import UploadFile, WriteSsconf


@dataclass(frozen=True)
class RedistributionPlan:
    """The nodes that get ssconf files, and the candidates that also get ancillary files."""

    everybody: Sequence[Node]
    candidates: Sequence[Node]

    @property
    def locks(self) -> LockRequest:
        return {all_of(LockLevel.NODE): LockMode.SHARED}


def plan(op: RedistributeConfig, state: ClusterState, facts: NodeAnswers) -> RedistributionPlan:
    """Plan the distribution to all online nodes."""
    online = [node for node in state.nodes.values() if not node.offline]
    return RedistributionPlan(online, other_candidates(state))


async def run(plan: RedistributionPlan, tools: Tools) -> None:
    state = tools.config.state()
    write = WriteSsconf(values=ssconf(state, release=__version__))
    for uuid, answer in (await tools.nodes.ask_all(plan.everybody, write)).items():
        if isinstance(answer, Failed):
            tools.progress.log_message(
                f"cannot update all files on node {state.nodes[uuid].name}: {answer}"
            )
    for name, trouble in (await distribute_files(plan.candidates, tools)).items():
        tools.progress.log_message(f"cannot update all files on node {name}: {trouble}")


async def distribute_files(candidates: Sequence[Node], tools: Tools) -> Mapping[str, Failed]:
    """Send the ancillary files to the given candidates; return failures by node name."""
    trouble = {}
    for shared in await tools.shared.read():
        content = base64.b64encode(shared.content).decode("ascii")
        upload = UploadFile(path=shared.path, content=content, mode=shared.mode)
        answers = await tools.nodes.ask_all(candidates, upload)
        for node in candidates:
            if isinstance(answer := answers[node.uuid], Failed):
                trouble[node.name] = answer
    return trouble


def other_candidates(state: ClusterState) -> list[Node]:
    """Return the online candidates other than the master."""
    master = state.cluster.master_node
    return [
        node
        for node in state.nodes.values()
        if node.master_candidate and not node.offline and node.uuid != master
    ]


OPERATION = Operation(RedistributeConfig, plan, run)
