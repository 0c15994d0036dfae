# SPDX-License-Identifier: BSD-2-Clause
"""Jobs proposed by an external iallocator, for operations that move several instances."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.errors import Code, Invalid, Refused
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import read_opcode
from ganeti.operations.allocation.iallocator import get_allocator_result
from ganeti.operations.operation import NodeAnswers
from ganeti.schema.records import replace

ALLOWED_OPCODES = (FailoverInstance, MigrateInstance, ReplaceDisks)
"""The opcodes that an iallocator may propose."""


@dataclass(frozen=True)
class IAllocatorJobs:
    """Proposed jobs, and the instances that cannot move, each with the reason."""

    jobs: tuple[tuple[Opcode, ...], ...]
    stuck: tuple[tuple[str, str], ...]


def get_allocator_jobs(facts: NodeAnswers, *, early_release: bool) -> IAllocatorJobs:
    """Return the jobs that the iallocator has proposed.

    :raises Refused: it has found no solution, or has proposed opcodes that are not allowed.
    """
    match get_allocator_result(facts):
        case [list(), list(failed), list(jobs)] if all(isinstance(job, list) for job in jobs):
            pass
        case _:
            raise _make_malformed()
    return IAllocatorJobs(
        tuple(_read_job(job, early_release) for job in jobs), tuple(map(_read_failure, failed))
    )


def _make_malformed() -> Refused:
    return Refused(
        "the iallocator's result does not have the form [moved, failed, jobs], with pairs of"
        " instance and reason in failed and lists of opcodes in jobs",
        Code.ENVIRONMENT,
    )


def _read_failure(written: object) -> tuple[str, str]:
    match written:
        case [str(name), str() | None as reason]:
            return name, reason or "no reason given"
        case _:
            raise _make_malformed()


def _read_job(written: list[object], early_release: bool) -> tuple[Opcode, ...]:
    opcodes: list[Opcode] = []
    for each in written:
        try:
            opcode = read_opcode(each)
        except Invalid as e:
            raise Refused(
                f"the iallocator proposed an invalid opcode: {e}", Code.ENVIRONMENT
            ) from e
        if not isinstance(opcode, ALLOWED_OPCODES):
            raise Refused(f"the iallocator must not propose {opcode.op_id}", Code.ENVIRONMENT)
        if isinstance(opcode, ReplaceDisks):
            opcode = replace(opcode, early_release=early_release)
        opcodes.append(opcode)
    return tuple(opcodes)
