# SPDX-License-Identifier: BSD-2-Clause
"""Declarations of tools and their commands, and the dispatch of a command line.

A command that only submits an opcode is declared without code: ``opcode`` names the opcode whose
fields become its options (see ``declared_options``), ``words`` the fields that are positional
arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from ganeti.cli.options import PRIORITY, TEXT, BadOption, Option, parse
from ganeti.cli.session import FAILURE, ExitTool, Session
from ganeti.errors import GanetiError


class Positional(msgspec.Struct, frozen=True):
    """Positional arguments of one kind: their name, how many, and which values are allowed."""

    name: str
    kind: str
    least: int = 1
    most: int | None = 1
    choices: tuple[str, ...] = ()

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
    values: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of ``name``, or ``default`` if it was not given."""
        return self.values.get(name, default)

    def plus(self, more: Mapping[str, Any]) -> Arguments:
        """Return these arguments with ``more`` added or replaced."""
        return Arguments(self.tool, self.command, {**self.values, **more})

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def __contains__(self, name: str) -> bool:
        return name in self.values


Run: TypeAlias = Callable[[Session, Arguments], int]
Document: TypeAlias = dict[str, Any]


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
    front. Unless ``mixed``, all options must come before the first positional argument. A command
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
    ended: Callable[[Session, Arguments, Any], int] | None = None
    run: Run | None = None
    submits: bool = False
    job_options: tuple[Option, ...] = ()
    confirm: str = ""
    confirmed_by: str = "force"
    own_defaults: bool = False
    mixed: bool = True
    unsupported: str = ""

    def all_options(self) -> list[Option]:
        """Return all options: those declared here, those of the opcode, and those of jobs."""
        found = list(self.options)
        if self.opcode:
            from ganeti.cli.declared_options import derive_options

            found += derive_options(self)
        if self.many:
            from ganeti.cli.selection import SELECTION_OPTIONS

            found += SELECTION_OPTIONS
        if self.confirm and not any(option.name == self.confirmed_by for option in found):
            found.append(FORCE)
        if self.opcode or self.submits:
            found += self.job_options or JOB_OPTIONS
        return found + COMMON

    def described(self) -> str:
        """Return what the command does, in one sentence."""
        if self.unsupported:
            return f"Not supported: {self.unsupported}."
        if self.doc or not self.opcode:
            return self.doc
        from ganeti.cli.declared_options import told

        return told(self.opcode)

    def usage(self, tool: str) -> str:
        """Return the usage line."""
        return " ".join([tool, self.name, "[options]", *(words.shape for words in self.words)])


FORCE = Option(("-f", "--force"), "force", "Do not ask for confirmation.")
DRY_RUN = Option(
    ("--dry-run",), "dry_run", "Check the request and show what would be done; change nothing."
)
URGENCY = Option(("--priority",), "priority", "The priority of the job.", PRIORITY)
JOB_OPTIONS = [
    Option(("--submit",), "submit", "Submit the job and do not wait for it."),
    Option(("--print-jobid",), "print_jobid", "Print the job ID on the first line."),
    DRY_RUN,
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


def run(declared: Tool, words: Sequence[str], session: Session) -> int:
    """Run the command that ``words``, the arguments of the program, name; return the exit code."""
    debug = False
    try:
        _require_text(words)
        name, *rest = words or [""]
        command = declared.command(name)
        if command is None and rest:  # some commands have two words, such as token add
            command, rest = declared.command(f"{name} {rest[0]}"), rest[1:]
        if command is None:
            return _run_without_command(declared, name, session)
        if "--help" in rest or "-h" in rest:
            from ganeti.cli.help import WIDTH, format_command_help

            session.show(format_command_help(declared, command, session.columns(WIDTH)))
            return 0
        debug = "--debug" in rest or "-d" in rest
        return perform(declared, command, rest, session)
    except BrokenPipeError:
        raise
    except (GanetiError, OSError) as e:
        if debug:
            raise
        code, message = trouble(e)
        if message:
            session.tell(message)
        return code


def _require_text(words: Sequence[str]) -> None:
    """Reject words that the locale of the terminal could not decode.

    :raises ExitTool: if there is one; the message shows it with escapes.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise ExitTool(
                FAILURE,
                f"{word!a} is not in the encoding of this terminal; use UTF-8, or a locale"
                " (LC_ALL) that fits",
            ) from None


def perform(declared: Tool, command: Command, rest: Sequence[str], session: Session) -> int:
    """Run one command; return the exit code."""
    if command.unsupported:
        raise ExitTool(
            FAILURE,
            f"{declared.name} {command.name} is not supported by this version:"
            f" {command.unsupported}",
        )
    if command.own_defaults:
        rest = [*_read_env_defaults(declared, command, session), *rest]
    options = command.all_options()
    values, plain = parse(options, rest, mixed=command.mixed)
    values.update(_assign_positionals(declared, command, plain))
    arguments = Arguments(declared.name, command, values)
    if command.confirm and not command.many and not arguments.get(command.confirmed_by):
        flag = next("/".join(each.flags) for each in options if each.name == command.confirmed_by)
        session.confirm(command.confirm.format_map(values), flag)
    return (command.run or request)(session, arguments)


def request(session: Session, arguments: Arguments) -> int:
    """Submit the opcode of a command, or one opcode for each instance; return the exit code."""
    from ganeti.cli.declared_options import build_opcode
    from ganeti.cli.job_polling import carry_out, submit_and_follow_all

    command = arguments.command
    if not command.many:
        return carry_out(session, arguments, build_opcode(arguments), ended=command.ended)
    from ganeti.cli.selection import instances

    names = instances(session, arguments, question=command.confirm)
    jobs = [(name, [build_opcode(arguments.plus({command.many: name}))]) for name in names]
    return submit_and_follow_all(session, arguments, jobs)


def trouble(error: GanetiError | OSError) -> tuple[int, str]:
    """Return the exit code for an error and the message to print, which may be empty."""
    match error:
        case ExitTool(code=code):
            return code, f"Error: {error}" if str(error) else ""
        case BadOption():
            return 2, f"Error: {error}"
        case OSError(strerror=str(reason), filename=name):
            return FAILURE, f"Failure: {f'{name}: ' if name else ''}{reason}"
    return FAILURE, f"Failure: {error}"


def _read_env_defaults(declared: Tool, command: Command, session: Session) -> list[str]:
    name = f"{declared.name}_{command.name}".upper().replace("-", "_")
    found = session.environment.get(name)
    if not found:
        return []
    import shlex

    return shlex.split(found)


def _assign_positionals(declared: Tool, command: Command, plain: Sequence[str]) -> dict[str, Any]:
    """Return the positional arguments by name.

    :raises ExitTool: if there are too many or too few, or a value is not allowed.
    """
    found: dict[str, Any] = {}
    left = list(plain)
    needed = sum(each.least for each in command.words)
    for each in command.words:
        needed -= each.least
        most = len(left) - needed if each.most is None else each.most
        taken, left = left[:most], left[most:]
        if len(taken) < each.least:
            raise _usage_error(declared, command, f"{each.kind} is missing")
        for word in taken:
            if each.choices and word not in each.choices:
                raise _usage_error(
                    declared,
                    command,
                    f"{word or repr(word)} must be one of {', '.join(each.choices)}",
                )
        if each.most != 1:
            found[each.name] = taken
        elif taken:
            found[each.name] = taken[0]
    if left:
        raise _usage_error(declared, command, f"unexpected argument {' '.join(left)}")
    return found


def _usage_error(declared: Tool, command: Command, problem: str) -> ExitTool:
    return ExitTool(FAILURE, f"{problem}; usage: {command.usage(declared.name)}")


def _run_without_command(declared: Tool, name: str, session: Session) -> int:
    if name == "--version":
        from ganeti import __version__

        session.say(f"{declared.name} (ganeti v{__version__}) {__version__}")
        return 0
    from ganeti.cli.help import WIDTH, format_tool_help, near

    if name in ("--help", "-h"):
        session.show(format_tool_help(declared, session.columns(WIDTH)))
        return 0
    if name:
        session.tell(f"Error: unknown command {name}{near(declared, name)}")
    session.show(format_tool_help(declared, session.columns(WIDTH)))
    return FAILURE
