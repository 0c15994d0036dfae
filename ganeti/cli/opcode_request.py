# SPDX-License-Identifier: BSD-2-Clause
"""The submission of the opcode of a command, which is all that most commands do."""

from __future__ import annotations

from ganeti.cli.command import Arguments
from ganeti.cli.declared_options import build_opcode
from ganeti.cli.job_polling import carry_out, submit_and_follow_all
from ganeti.cli.selected_instances import instances
from ganeti.cli.session import Session


def request(session: Session, arguments: Arguments) -> int:
    """Submit the opcode of a command, or one opcode for each instance; return the exit code."""
    command = arguments.command
    if not command.many:
        return carry_out(session, arguments, build_opcode(arguments), ended=command.ended)
    names = instances(session, arguments, question=command.confirm)
    jobs = [(name, [build_opcode(arguments.plus({command.many: name}))]) for name in names]
    return submit_and_follow_all(session, arguments, jobs)
