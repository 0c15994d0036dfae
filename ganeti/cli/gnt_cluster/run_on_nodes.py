# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster command`` and ``copyfile``: act on many nodes through their node daemons."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganeti.bootstrap.node_client import NodeEndpoint
from ganeti.bootstrap.node_commands import CommandAnswer, copy_file, run_command
from ganeti.cli.command import Arguments
from ganeti.cli.output import Fields, objects
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import GanetiError
from ganeti.luxi.methods import Query
from ganeti.paths import NODED_PORT

if TYPE_CHECKING:
    from ganeti.bootstrap.node_client import NodeEndpoint


def command(session: Session, arguments: Arguments) -> int:
    """Run a command line on nodes, and show its output and exit code."""
    own, endpoints = _query_endpoints(session, arguments)
    answers = run_command(session.paths, own, endpoints, " ".join(arguments["command"]))
    worst = 0
    for name, answer in answers.items():
        failed = isinstance(answer, GanetiError) or answer.code != 0
        worst = FAILURE if failed else worst
        if failed or not arguments.get("failure_only"):
            for line in _format_answer(name, answer, named=bool(arguments.get("named"))):
                session.print_line(line)
    return worst


def _format_answer(name: str, answer: CommandAnswer, *, named: bool) -> list[str]:
    """Return the lines for a node's answer, in the format that scripts know from Ganeti."""
    lines = ["-" * 48]
    if isinstance(answer, Exception):
        return [*lines, f"node: {name}", f"Failure: {answer}"]
    output = answer.output.splitlines()
    if named:
        lines += [f"{name}: {line}" for line in output]
    else:
        lines += [f"node: {name}", *output]
    return [*lines, f"return code = {answer.code}"]


def copyfile(session: Session, arguments: Arguments) -> int:
    """Copy a file of this node to the same path on other nodes."""
    path = os.path.abspath(arguments["file"])
    own, endpoints = _query_endpoints(session, arguments)
    others = [endpoint for endpoint in endpoints if endpoint.name != own.name]
    worst = 0
    for name, answer in copy_file(session.paths, own, others, path).items():
        if isinstance(answer, GanetiError):
            session.print_status(f"Failure: {path} was not copied to {name}: {answer}")
            worst = FAILURE
    return worst


def _query_endpoints(
    session: Session, arguments: Arguments
) -> tuple[NodeEndpoint, Sequence[NodeEndpoint]]:
    """Return the endpoint of this node's daemon, and those of the selected nodes.

    :raises ExitTool: if no node is online, or a named node is unknown or offline.
    """
    fields = ("name", "pip", "sip", "offline", "group", "group.uuid", "master")
    nodes = objects(session.ask(Query(what="node", fields=fields)))
    [own] = [node for node in nodes if node["master"]]
    chosen = [node for node in nodes if not node["offline"]]
    if group := arguments.get("group"):
        chosen = [node for node in chosen if group in (node["group"], node["group.uuid"])]
    if names := arguments.get("nodes"):
        known = {node["name"]: node for node in chosen}
        chosen = [known[full] for full in (_resolve_node_name(name, known) for name in names)]
    if not chosen:
        raise ExitTool(FAILURE, "no selected node is online; see gnt-node list")
    port = arguments.get("node_port", NODED_PORT)
    address = "sip" if arguments.get("replication") else "pip"
    return (
        NodeEndpoint(own["name"], own["pip"], port),
        [NodeEndpoint(node["name"], node[address], port) for node in chosen],
    )


def _resolve_node_name(name: str, known: Fields) -> str:
    """Return the full name of a node that is online; it may be given without its domain."""
    found = [each for each in known if each == name or each.startswith(f"{name}.")]
    if name in found:
        return name
    if len(found) != 1:
        raise ExitTool(FAILURE, f"node {name} is unknown or offline; see gnt-node list")
    return found[0]
