# SPDX-License-Identifier: BSD-2-Clause
"""Refusals that several operations share."""

from __future__ import annotations

from ganeti.config.state import RecordKind
from ganeti.errors import Code, Failed, Problem, Refused
from ganeti.model.node import Node

COMPRESSION_UNSUPPORTED = Problem("compress", "must be none: transfers are not compressed")
NOTHING_TO_CHANGE = "no changes requested; give at least one parameter"


def nothing_to_change() -> Refused:
    """Return the error for a request to modify an object without any change."""
    return Refused(NOTHING_TO_CHANGE, Code.INPUT)


def describe_failure(node: Node, error: Failed) -> str:
    """Return what failed on a node, with its name once: the client of the nodes adds it, too."""
    return f"node {node.name}: {str(error).removeprefix(f'{node.name}: ')}"


def already_exists(kind: RecordKind, name: str) -> Refused:
    """Return the error for the name of a new object that is in use."""
    return Refused(f"{kind} {name} already exists; choose another name", Code.EXISTS)


def marked_offline(instance: str) -> Refused:
    """Return the error for an operation that would run an instance which is marked offline."""
    return Refused(
        f"instance {instance} is marked offline; "
        f"to mark it as down: gnt-instance modify --online {instance}"
    )


def not_stopped(instance: str) -> Refused:
    """Return the error for an operation that requires a stopped instance."""
    return Refused(
        f"instance {instance} is running (or configured to run); "
        f"shut it down first: gnt-instance shutdown {instance}"
    )
