# SPDX-License-Identifier: BSD-2-Clause
"""Check of changed cluster-wide hypervisor parameters on the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused, Unreachable
from ganeti.model.cluster import Cluster
from ganeti.operations.operation import Tools
from ganeti.rpc.node import ValidateHypervisor
from ganeti.schema.types import Parameters


def list_checks(before: Cluster, after: Cluster) -> Iterator[ValidateHypervisor]:
    """Yield a check for each set of parameters that changes, limited to changed ones."""
    for hypervisor in after.enabled_hypervisors:
        given = after.hvparams.get(hypervisor, {})
        yield from _make_check(hypervisor, given, before.hvparams.get(hypervisor, {}), given)
    for os, sets in after.os_hvp.items():
        for hypervisor, given in sets.items():
            if hypervisor in after.enabled_hypervisors:
                filled = {**after.hvparams.get(hypervisor, {}), **given}
                known = before.os_hvp.get(os, {}).get(hypervisor, {})
                yield from _make_check(hypervisor, filled, known, given)


def _make_check(
    hypervisor: str, filled: Parameters, before: Mapping[str, object], given: Parameters
) -> Iterator[ValidateHypervisor]:
    names = tuple(name for name, value in given.items() if before.get(name) != value)
    if names:
        yield ValidateHypervisor(hypervisor=hypervisor, hvparams=filled, about=names)


async def require_able(before: Cluster, after: Cluster, state: ClusterState, tools: Tools) -> None:
    """Check the parameters on every vm_capable node.

    Unreachable nodes are only reported in the job's log, as they may be down temporarily.

    :raises Refused: with the problems of all nodes.
    """
    hosts = [node for node in state.nodes.values() if node.vm_capable and not node.offline]
    problems: list[str] = []
    for question in list_checks(before, after):
        answers = await tools.nodes.ask_all(hosts, question)
        for node in sorted(hosts, key=lambda node: node.name):
            match answers[node.uuid]:
                case Unreachable() as error:
                    tools.progress.log_message(
                        f"cannot check the parameters on node {node.name}: {error}"
                    )
                case Exception() as error:
                    problems.append(str(error))
    if problems:
        raise Refused(
            f"guests with these parameters cannot run: {'; '.join(problems)}", Code.ENVIRONMENT
        )
