# SPDX-License-Identifier: BSD-2-Clause
"""Whether an instance can have a name: it is free, it resolves, and nobody has its address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ganeti.config.state import ClusterState, RecordKind
from ganeti.errors import Code, Refused
from ganeti.operations.name_rules import require_own_name
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.rpc.node import ResolveName


class InstanceName(Protocol):
    """An opcode that gives an instance a name."""

    @property
    def name_check(self) -> bool: ...

    @property
    def ip_check(self) -> bool: ...


def name_questions(op: InstanceName, name: str, state: ClusterState) -> Iterator[NodeQuery]:
    """What the master's node finds under the name, unless nobody wants to know."""
    if op.name_check:
        yield NodeQuery([state.master], ResolveName(name=name, probe=op.ip_check))


def require_name(
    op: InstanceName, name: str, state: ClusterState, facts: NodeAnswers, *, own: str | None = None
) -> None:
    """Refuse a name that the instance cannot have; ``own`` is the one that it has already.

    Without a check of the name there is no address that could be checked.

    :raises Refused: it is taken, it does not resolve, or something answers at its address.
    """
    if name != own and state.knows(RecordKind.INSTANCE, name):
        raise Refused(f"there is an instance named {name} already", Code.EXISTS)
    if name != own:
        require_own_name(RecordKind.INSTANCE, name, state)
    if not op.name_check:
        return
    found = facts.of(state.master, ResolveName)
    if not found.addresses:
        raise Refused(
            f"the name {name} does not resolve; put it into the DNS or /etc/hosts, or use "
            "--no-name-check",
            Code.RESOLVER,
        )
    if op.ip_check and found.answers:
        raise Refused(
            f"a host answers at the address of {name}, {' or '.join(found.addresses)}; stop it, "
            "choose another name, or use --no-ip-check",
            Code.NOT_UNIQUE,
        )
