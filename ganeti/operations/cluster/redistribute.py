# SPDX-License-Identifier: BSD-2-Clause
"""Bringing the files that the cluster shares to every node again."""

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
class Redistribute:
    """The nodes that get the files: all of them ssconf, candidates the secrets too."""

    everybody: Sequence[Node]
    candidates: Sequence[Node]

    @property
    def locks(self) -> LockRequest:
        return {all_of(LockLevel.NODE): LockMode.SHARED}


def plan(op: RedistributeConfig, state: ClusterState, facts: NodeAnswers) -> Redistribute:
    """Find the nodes."""
    online = [node for node in state.nodes.values() if not node.offline]
    return Redistribute(online, other_candidates(state))


async def run(plan: Redistribute, tools: Tools) -> None:
    state = tools.config.state()
    write = WriteSsconf(values=ssconf(state, release=__version__))
    for uuid, answer in (await tools.nodes.ask_all(plan.everybody, write)).items():
        if isinstance(answer, Failed):
            tools.progress.say(f"node {state.nodes[uuid].name} did not get it all: {answer}")
    for name, trouble in (await share_files(plan.candidates, tools)).items():
        tools.progress.say(f"node {name} did not get it all: {trouble}")


async def share_files(candidates: Sequence[Node], tools: Tools) -> Mapping[str, Failed]:
    """Bring the files that candidates share to some of them; returns the trouble by node name."""
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
    """Return the candidates that are online, but for the master."""
    master = state.cluster.master_node
    return [
        node
        for node in state.nodes.values()
        if node.master_candidate and not node.offline and node.uuid != master
    ]


OPERATION = Operation(RedistributeConfig, plan, run)
