# SPDX-License-Identifier: BSD-2-Clause
"""Declarations of tools and their commands, which :mod:`ganeti.cli.dispatch` runs.

A command that only submits an opcode is declared without code: ``opcode`` names the opcode whose
fields become its options (see ``declared_options``), ``words`` the fields that are positional
arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from ganeti.cli.options import PRIORITY, TEXT, Option
from ganeti.cli.session import Session


class Positional(msgspec.Struct, frozen=True):
    """Positional arguments of one kind: their name, how many, and which values are allowed.

    ``kind`` is also what completion looks up. They name ``new`` objects, or existing ones, which
    may belong to the ``owner``, another positional argument.
    """

    name: str
    kind: str
    least: int = 1
    most: int | None = 1
    choices: tuple[str, ...] = ()
    new: bool = False
    owner: str = ""

    @property
    def shape(self) -> str:
        """The arguments as usage lines and manual pages show them."""
        word = "{" + "|".join(self.choices) + "}" if self.choices else self.kind.upper()
        shown = word if self.most == 1 else f"{word}…"
        return shown if self.least else f"[{shown}]"


class Arguments(msgspec.Struct, frozen=True):
    """The values given to a command, by the names of options and positional arguments."""

    tool: str
    command: Command
    values: Mapping[str, object]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of ``name``, or ``default`` if it was not given."""
        return self.values.get(name, default)

    def plus(self, more: Mapping[str, object]) -> Arguments:
        """Return these arguments with ``more`` added or replaced."""
        return Arguments(self.tool, self.command, {**self.values, **more})

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values


Run: TypeAlias = Callable[[Session, Arguments], int]
# Reading it as an opcode checks it.
Document: TypeAlias = dict[str, Any]
"""Fields of an opcode, as options give them."""
# Each opcode has a result of its own.
OpcodeResult: TypeAlias = Any
"""The result of the opcode that a command has submitted, in JSON types."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a tool.

    ``opcode`` is the ``OP_ID`` of the opcode that the command submits. ``flags`` are options for
    fields whose flags differ from those of other commands; ``without`` are fields that have no
    option. ``preset`` are values for fields that were not given; ``given`` computes further fields
    from the arguments. ``many`` is the field for the instance, of a command that takes several
    instances and submits a job for each. ``ended`` turns the result of the opcode into an exit
    code.

    ``run`` replaces the submission of the opcode; ``submits`` says that the command has the options
    of jobs, ``job_options`` that it has only these of them. ``confirm`` is the question to ask
    first, with the arguments filled in, unless the option ``confirmed_by`` is given. With
    ``own_defaults``, an environment variable (``GNT_INSTANCE_LIST``) has options that are put in
    front. Unless ``mixed``, all options must come before the first positional argument. ``listed``
    is the kind of object whose fields the command shows. A command
    of Ganeti that is not implemented is ``unsupported``: it is rejected with this reason.
    """

    name: str
    doc: str = ""
    aliases: tuple[str, ...] = ()
    words: tuple[Positional, ...] = ()
    opcode: str = ""
    flags: tuple[Option, ...] = ()
    without: tuple[str, ...] = ()
    given: Callable[[Arguments], Document] | None = None
    preset: Document = {}
    options: tuple[Option, ...] = ()
    many: str = ""
    ended: Callable[[Session, Arguments, object], int] | None = None
    run: Run | None = None
    submits: bool = False
    job_options: tuple[Option, ...] = ()
    confirm: str = ""
    confirmed_by: str = "force"
    own_defaults: bool = False
    mixed: bool = True
    listed: str = ""
    unsupported: str = ""

    def usage(self, tool: str) -> str:
        """Return the usage line."""
        return " ".join([tool, self.name, "[options]", *(words.shape for words in self.words)])


FORCE = Option(("-f", "--force"), "force", "Do not ask for confirmation.")
DRY_RUN = Option(
    ("--dry-run",), "dry_run", "Check the request and show what would be done; change nothing."
)
PLAN = Option(
    ("--plan",),
    "plan",
    "Show the steps, locks and nodes of the job, and what cannot be undone; submit nothing.",
)
URGENCY = Option(("--priority",), "priority", "The priority of the job.", PRIORITY)
JOB_OPTIONS = [
    Option(("--submit",), "submit", "Submit the job and do not wait for it."),
    Option(("--print-jobid",), "print_jobid", "Print the job ID on the first line."),
    DRY_RUN,
    PLAN,
    URGENCY,
]
READS = (URGENCY,)
"""The job options of commands that show the result of a job that only reads."""
COMMON = [
    Option(
        ("--reason",), "reason", "The reason for the request; it is recorded with the job.", TEXT
    ),
    Option(("-d", "--debug"), "debug", "Show the traceback of an error."),
]


class Tool(msgspec.Struct, frozen=True):
    """A program: its name, its description, and its commands."""

    name: str
    doc: str
    commands: tuple[Command, ...]

    def command(self, name: str) -> Command | None:
        """Return the command that has this name or alias, if there is one."""
        for command in self.commands:
            if name == command.name or name in command.aliases:
                return command
        return None


def tool(name: str, doc: str, *commands: Command | Iterable[Command]) -> Tool:
    """Return a tool with its commands in alphabetical order."""
    found: list[Command] = []
    for each in commands:
        found += [each] if isinstance(each, Command) else list(each)
    return Tool(name, doc, tuple(sorted(found, key=lambda command: command.name)))
