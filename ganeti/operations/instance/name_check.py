# SPDX-License-Identifier: BSD-2-Clause
"""Checks of an instance name: it is unused, it resolves, and no host answers at its address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Refused
from ganeti.operations.name_rules import require_own_name
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.operations.refusals import already_exists
from ganeti.rpc.node import ResolveName


class InstanceName(Protocol):
    """An opcode that sets the name of an instance."""

    @property
    def name_check(self) -> bool: ...

    @property
    def ip_check(self) -> bool: ...


def name_queries(op: InstanceName, name: str, state: ClusterState) -> Iterator[NodeQuery]:
    """Yield the query to resolve the name on the master, if name_check is set."""
    if op.name_check:
        yield NodeQuery([state.master], ResolveName(name=name, probe=op.ip_check))


def check_name(
    op: InstanceName, name: str, state: ClusterState, facts: NodeAnswers, *, own: str | None = None
) -> None:
    """Check the name of an instance; ``own`` is its present name, which is allowed.

    The address is only checked together with the name.

    :raises Refused: the name is in use, does not resolve, or a host answers at its address.
    """
    if name != own and state.knows(RecordKind.INSTANCE, name):
        raise already_exists(RecordKind.INSTANCE, name)
    if name != own:
        require_own_name(RecordKind.INSTANCE, name, state)
    if not op.name_check:
        return
    found = facts.answer_of(state.master, ResolveName)
    if not found.addresses:
        raise Refused(
            f"{name} does not resolve; add it to the DNS or /etc/hosts, or use --no-name-check",
            Code.RESOLVER,
        )
    if op.ip_check and found.answers:
        raise Refused(
            f"a host answers at the address of {name} ({', '.join(found.addresses)}); stop it, "
            "choose another name, or use --no-ip-check",
            Code.NOT_UNIQUE,
        )
