# SPDX-License-Identifier: BSD-2-Clause
"""What a command has by its declaration and by that of its opcode: its options, and its help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti.cli.command import COMMON, FORCE, JOB_OPTIONS, Command
from ganeti.cli.lazy import LazyModule
from ganeti.cli.options import Option
from ganeti.cli.selection import SELECTION_OPTIONS

if TYPE_CHECKING:
    from ganeti.cli import declared_options
else:
    declared_options = LazyModule("ganeti.cli.declared_options")


HELP = Option(("-h", "--help"), "help", "Show this help.")
"""An option of all commands; it is answered before the others are parsed."""


def all_options(command: Command) -> list[Option]:
    """Return all options of a command: its own, those of its opcode, and those of jobs."""
    found = list(command.options)
    if command.opcode:
        found += declared_options.derive_options(command)
    if command.many:
        found += SELECTION_OPTIONS
    if command.confirm and not any(option.name == command.confirmed_by for option in found):
        found.append(FORCE)
    if command.opcode or command.submits:
        found += command.job_options or JOB_OPTIONS
    return found + COMMON


def long_flag(command: Command, name: str) -> str:
    """Return the long flag of the option of a command that sets ``name``."""
    return next(each.flags[-1] for each in all_options(command) if each.name == name)


def described(command: Command) -> str:
    """Return what a command does, in one sentence."""
    if command.unsupported:
        return f"Not supported: {command.unsupported}."
    if command.doc or not command.opcode:
        return command.doc
    return declared_options.told(command.opcode)
