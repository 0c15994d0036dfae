# SPDX-License-Identifier: BSD-2-Clause
"""The dispatch of a command line: find the command, parse its options, and run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ganeti import __version__
from ganeti.cli.command import Arguments, Command, Tool
from ganeti.cli.command_options import HELP, all_options
from ganeti.cli.lazy import LazyModule
from ganeti.cli.options import BadOption, parse
from ganeti.cli.session import BAD_OPTION, FAILURE, ExitTool, Session
from ganeti.errors import GanetiError

if TYPE_CHECKING:
    import shlex

    from ganeti.cli import help as help_texts
    from ganeti.cli import opcode_request
    from ganeti.cli.completion import shell_reply
else:
    shlex = LazyModule("shlex")
    help_texts = LazyModule("ganeti.cli.help")
    opcode_request = LazyModule("ganeti.cli.opcode_request")
    shell_reply = LazyModule("ganeti.cli.completion.shell_reply")


COMPLETE = "--complete"
"""In place of a command: what a shell asks in order to complete a command line."""


def run(declared: Tool, words: Sequence[str], session: Session) -> int:
    """Run the command that ``words``, the arguments of the program, name; return the exit code."""
    debug = False
    try:
        if words and words[0] == COMPLETE:
            return shell_reply.print_answer(declared, words[1:], session)
        _require_text(words)
        name, *rest = words or [""]
        command = declared.command(name)
        if command is None and rest:  # some commands have two words, such as token add
            command, rest = declared.command(f"{name} {rest[0]}"), rest[1:]
        if command is None:
            return _run_without_command(declared, name, session)
        own = _own_words(command, rest)
        if "--help" in own or "-h" in own:
            return help_texts.show_command_help(session, declared, command)
        debug = "--debug" in own or "-d" in own
        return perform(declared, command, rest, session)
    except BrokenPipeError:
        raise
    except (GanetiError, OSError) as e:
        if debug:
            raise
        code, message = trouble(e)
        if message:
            session.print_status(message)
        return code


def _own_words(command: Command, rest: Sequence[str]) -> Sequence[str]:
    """Return the words that may be options: not those of a command line that is passed on.

    :raises BadOption: if the options before such a command line are malformed.
    """
    if command.mixed:
        return rest[: rest.index("--")] if "--" in rest else rest
    _, passed_on = parse([*all_options(command), HELP], rest, mixed=False)
    return rest[: len(rest) - len(passed_on)]


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
    options = all_options(command)
    values, plain = parse(options, rest, mixed=command.mixed)
    values.update(_assign_positionals(declared, command, plain))
    arguments = Arguments(declared.name, command, values)
    confirmed = arguments.get(command.confirmed_by) or arguments.get("plan")
    if command.confirm and not command.many and not confirmed:
        flag = next("/".join(each.flags) for each in options if each.name == command.confirmed_by)
        session.confirm(command.confirm.format_map(values), flag)
    return (command.run or opcode_request.request)(session, arguments)


def trouble(error: GanetiError | OSError) -> tuple[int, str]:
    """Return the exit code for an error and the message to print, which may be empty."""
    match error:
        case ExitTool(code=code):
            return code, f"Error: {error}" if str(error) else ""
        case BadOption():
            return BAD_OPTION, f"Error: {error}"
        case OSError(strerror=str(reason), filename=name):
            return FAILURE, f"Failure: {f'{name}: ' if name else ''}{reason}"
    return FAILURE, f"Failure: {error}"


def _read_env_defaults(declared: Tool, command: Command, session: Session) -> list[str]:
    name = f"{declared.name}_{command.name}".upper().replace("-", "_")
    found = session.environment.get(name)
    return shlex.split(found) if found else []


def _assign_positionals(
    declared: Tool, command: Command, plain: Sequence[str]
) -> dict[str, object]:
    """Return the positional arguments by name.

    :raises ExitTool: if there are too many or too few, or a value is not allowed.
    """
    found: dict[str, object] = {}
    left = list(plain)
    needed = sum(each.least for each in command.words)
    for each in command.words:
        # What the following arguments need at least is left to them.
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
        session.print_line(f"{declared.name} (ganeti v{__version__}) {__version__}")
        return 0
    if name in ("--help", "-h"):
        return help_texts.show_tool_help(session, declared)
    if name:
        hint = help_texts.near(declared, name)
        begins = any(command.name.startswith(f"{name} ") for command in declared.commands)
        if hint and not begins:
            session.print_status(f"Error: unknown command {name}{hint} See {declared.name} --help")
            return FAILURE
        session.print_status(f"Error: unknown command {name}{hint}")
    help_texts.show_tool_help(session, declared)
    return FAILURE
