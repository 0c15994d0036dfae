# SPDX-License-Identifier: BSD-2-Clause
"""The jobs that an external allocator has thought of, for those who move many instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ganeti.errors import Code, Invalid, Refused
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.allocation.iallocator import advised_result
from ganeti.operations.operation import NodeAnswers
from ganeti.schema.records import replace

MAY_ASK_FOR = (FailoverInstance, MigrateInstance, ReplaceDisks)
"""The opcodes of which an allocator may make jobs."""


@dataclass(frozen=True)
class IAllocatorJobs:
    """Jobs, and the instances that are to stay where they are, each with the reason."""

    jobs: tuple[tuple[Opcode, ...], ...]
    stuck: tuple[tuple[str, str], ...]


def advised_jobs(facts: NodeAnswers, *, early_release: bool) -> IAllocatorJobs:
    """What the allocator that was asked has answered.

    :raises Refused: it has found nothing, or it asks for what it must not.
    """
    match advised_result(facts):
        case [list(), list(failed), list(jobs)]:
            pass
        case _:
            raise Refused("the allocator did not answer with moves and jobs", Code.ENVIRONMENT)
    return IAllocatorJobs(
        tuple(_job(job, early_release) for job in jobs),
        tuple((str(name), str(reason or "no reason is given")) for name, reason in failed),
    )


def _job(written: list[Any], early_release: bool) -> tuple[Opcode, ...]:
    opcodes: list[Opcode] = []
    for each in written:
        try:
            opcode = read_opcode(each)
        except Invalid as e:
            raise Refused(f"the allocator asks for what is no opcode: {e}", Code.ENVIRONMENT) from e
        if not isinstance(opcode, MAY_ASK_FOR):
            raise Refused(f"the allocator must not ask for {opcode.op_id}", Code.ENVIRONMENT)
        if isinstance(opcode, ReplaceDisks):
            opcode = replace(opcode, early_release=early_release)
        opcodes.append(opcode)
    return tuple(opcodes)
