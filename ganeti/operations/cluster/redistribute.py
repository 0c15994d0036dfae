# SPDX-License-Identifier: BSD-2-Clause
"""Bringing the files that the cluster shares to every node again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from ganeti import __version__
from ganeti.config.ssconf import ssconf
from ganeti.config.state import ClusterState
from ganeti.errors import Failed
from ganeti.locking.names import Kind, LockRequest, Mode, all_of
from ganeti.model.node import Node
from ganeti.opcodes.cluster import RedistributeConfig
from ganeti.operations.operation import Facts, Operation, Tools
from ganeti.rpc.node import UploadFile, WriteSsconf


@dataclass(frozen=True)
class Redistribute:
    """The nodes that get the files: all of them ssconf, candidates the secrets too."""

    everybody: Sequence[Node]
    candidates: Sequence[Node]

    @property
    def locks(self) -> LockRequest:
        return {all_of(Kind.NODE): Mode.SHARED}


def plan(op: RedistributeConfig, state: ClusterState, facts: Facts) -> Redistribute:
    """Find the nodes."""
    online = [node for node in state.nodes.values() if not node.offline]
    master = state.cluster.master_node
    candidates = [node for node in online if node.master_candidate and node.uuid != master]
    return Redistribute(online, candidates)


async def run(plan: Redistribute, tools: Tools) -> None:
    state = tools.config.state()
    await _ask(plan.everybody, WriteSsconf(values=ssconf(state, release=__version__)), state, tools)
    for shared in await tools.shared.read():
        content = base64.b64encode(shared.content).decode("ascii")
        upload = UploadFile(path=shared.path, content=content, mode=shared.mode)
        await _ask(plan.candidates, upload, state, tools)


async def _ask(
    nodes: Sequence[Node], call: WriteSsconf | UploadFile, state: ClusterState, tools: Tools
) -> None:
    for uuid, answer in (await tools.nodes.ask_all(nodes, call)).items():
        if isinstance(answer, Failed):
            tools.progress.say(f"node {state.nodes[uuid].name} did not get it all: {answer}")


OPERATION = Operation(RedistributeConfig, plan, run)
