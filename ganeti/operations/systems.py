# SPDX-License-Identifier: BSD-2-Clause
"""OS definitions: which there are, and whether they work everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.opcodes.os import DiagnoseOSes
from ganeti.operations.operation import Facts, Operation, Question, Tools
from ganeti.rpc.node import DescribeOSes, OSDefinition


@dataclass(frozen=True)
class Diagnosis:
    """The OS definitions that nodes have, as rows of the fields that were asked for."""

    rows: list[list[Any]]

    @property
    def locks(self) -> LockRequest:
        return {}


def questions(op: DiagnoseOSes, state: ClusterState) -> Sequence[Question]:
    nodes = [node for node in state.nodes.values() if node.vm_capable and not node.offline]
    return [Question(nodes, DescribeOSes())]


def plan(op: DiagnoseOSes, state: ClusterState, facts: Facts) -> Diagnosis:
    """Compare what the nodes have, or refuse unknown fields."""
    unknown = [name for name in op.output_fields if name not in FIELDS]
    if unknown:
        known = ", ".join(FIELDS)
        raise Refused(f"unknown fields {', '.join(unknown)}; there are: {known}", Code.INPUT)
    rows = []
    for name, seen in sorted(by_name(state, facts).items()):
        if op.names and name not in op.names:
            continue
        values = described(name, seen, state)
        # A hidden or broken definition is shown to those who ask for it by name or by field.
        if not values["valid"] and not {"valid", "node_status"} & set(op.output_fields):
            continue
        rows.append([values[field] for field in op.output_fields])
    return Diagnosis(rows)


def by_name(state: ClusterState, facts: Facts) -> dict[str, dict[str, OSDefinition]]:
    """The definitions by name and then by the name of the node that has them."""
    found: dict[str, dict[str, OSDefinition]] = {}
    for node in state.nodes.values():
        for definition in facts.known(node, DescribeOSes) or ():
            found.setdefault(definition.name, {})[node.name] = definition
    return found


def described(
    name: str, seen: Mapping[str, OSDefinition], state: ClusterState
) -> Mapping[str, Any]:
    """Every field of an OS definition; valid if it is, alike, on all nodes for instances."""
    hosts = [node.name for node in state.nodes.values() if node.vm_capable and not node.offline]
    definitions = [seen[node] for node in hosts if node in seen]
    first = definitions[0]
    alike = all(
        (each.variants, each.parameters, each.api_versions)
        == (first.variants, first.parameters, first.api_versions)
        for each in definitions
    )
    everywhere = len(definitions) == len(hosts) and all(each.valid for each in definitions)
    cluster = state.cluster
    return {
        "name": name,
        "valid": everywhere and alike,
        "variants": list(first.variants) if alike else [],
        "parameters": [list(each) for each in first.parameters] if alike else [],
        "api_versions": list(first.api_versions) if alike else [],
        "hidden": name in cluster.hidden_os,
        "blacklisted": name in cluster.blacklisted_os,
        "trusted": all(each.trusted for each in definitions),
        "os_hvp": cluster.os_hvp.get(name, {}),
        "osparams": cluster.osparams.get(name, {}),
        "node_status": {
            node: [
                [
                    each.path,
                    each.valid,
                    each.diagnosis,
                    list(each.variants),
                    [list(parameter) for parameter in each.parameters],
                    list(each.api_versions),
                    each.trusted,
                ]
            ]
            for node, each in seen.items()
        },
    }


FIELDS = (
    "name",
    "valid",
    "node_status",
    "variants",
    "parameters",
    "api_versions",
    "hidden",
    "blacklisted",
    "os_hvp",
    "osparams",
    "trusted",
)


async def run(plan: Diagnosis, tools: Tools) -> list[list[Any]]:
    return plan.rows


OPERATION = Operation(DiagnoseOSes, plan, run, questions)
