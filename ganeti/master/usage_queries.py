# SPDX-License-Identifier: BSD-2-Clause
"""What nodes and instances have used over the last hours, as their node daemons have seen it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.operations.instance.context import check_online
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import ReadUsage, Usage
from ganeti.schema.records import replace

KINDS = ("node", "instance")


class UsageQueries:
    """Answers what was used by asking the node that has seen it."""

    def __init__(self, state: Callable[[], ClusterState], nodes: Nodes) -> None:
        self._state = state
        self._nodes = nodes

    async def query_usage(self, kind: str, name: str) -> dict[str, Any]:
        """Return the points of a node, or of an instance on its primary node.

        :raises Refused: there is no such object, or the node is offline.
        """
        state = self._state()
        if kind == "node":
            node, call, since = state.node(name), ReadUsage(), 0.0
        elif kind == "instance":
            instance = state.instance(name)
            node, since = state.nodes[instance.primary_node], instance.ctime
            call = ReadUsage(guest=instance.name)
        else:
            raise Refused(f"kind must be one of {', '.join(KINDS)}, not {kind}", Code.INPUT)
        check_online(node, f"the usage of {kind} {name} cannot be read")
        usage = await self._nodes.ask(node, call)
        answer: dict[str, Any] = msgspec.to_builtins(without_predecessor(usage, since))
        return answer


def without_predecessor(usage: Usage, since: float) -> Usage:
    """Return the points of an object without those of another one that had its name before."""
    size = max(map(len, usage.series.values()), default=0)
    own = max(0, int((usage.end - since) // usage.step) + 1)
    if own >= size:
        return usage
    series = {name: values[size - own :] for name, values in usage.series.items()}
    return replace(usage, series=series)
