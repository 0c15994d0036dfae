# SPDX-License-Identifier: BSD-2-Clause
"""All commands and options of Ganeti's tools, and whether they are supported here.

``python -m tests.golden.command_table`` prints ``doc/commands.md``. Ganeti's commands are in
``data/cli.json``; the supported ones are read from the declarations of the tools, and the reasons
for rejections from these, from the parameters of requests, and from ``cli_differences``.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ganeti.cli.command import Command, Tool
from ganeti.cli.command_options import all_options
from ganeti.cli.options import Option
from ganeti.model.unsupported import UNSUPPORTED
from ganeti.opcodes.registry import OPCODES
from ganeti.operations.unsupported import ALTERNATIVES
from ganeti.schema.parameters import parameters
from tests.golden.cli_differences import (
    MISSING_COMMANDS,
    MISSING_OPTIONS,
    NO_EFFECT,
    REFUSED,
    sentence,
)

KNOWN: Mapping[str, Mapping[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "cli.json").read_text()
)
"""The commands of Ganeti 3.0's tools; options as their flags, shape and type."""

OURS = ("gnt-access",)
"""Tools that administrators of Ganeti do not know."""

_SETTING_COMMANDS = {"gnt-cluster init", "gnt-cluster modify"}
"""Commands whose options are settings of the cluster."""


class State(StrEnum):
    """How a command or an option of Ganeti's is supported."""

    WORKS = "works"
    DIFFERS = "differs"
    NO_EFFECT = "no effect"
    REFUSED = "refused"
    MISSING = "not there"


@dataclass(frozen=True, kw_only=True)
class Row:
    """How something is supported, and the reason if it differs."""

    name: str
    state: State = State.WORKS
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class CommandRow(Row):
    """How a command and each of its options are supported."""

    options: Sequence[Row] = ()


def tools() -> Iterator[Tool]:
    """Every tool there is."""
    for name in sorted((*KNOWN, *OURS)):
        module = name.replace("-", "_")
        yield getattr(importlib.import_module(f"ganeti.cli.{module}.commands"), module.upper())


def rows(tool: Tool) -> Iterator[CommandRow]:
    """Return what becomes of Ganeti's commands of a tool."""
    for name, known in KNOWN.get(tool.name, {}).items():
        command = tool.command(name)
        full = f"{tool.name} {name}"
        if command is None:
            yield CommandRow(name=name, state=State.MISSING, why=MISSING_COMMANDS.get(full, ""))
            continue
        if refusal := _refusal(full, command):
            yield CommandRow(name=name, state=State.REFUSED, why=refusal)
            continue
        flags = [option[0].split() for option in known["options"]]
        options = [_option_row(full, command, each) for each in flags]
        yield CommandRow(name=name, options=options)


def _refusal(full: str, command: Command) -> str:
    instead = {str(kind.__struct_config__.tag): why for kind, why in ALTERNATIVES.items()}
    return command.unsupported or instead.get(command.opcode, "") or REFUSED.get(full, "")


def _option_row(full: str, command: Command, flags: Sequence[str]) -> Row:
    name = ", ".join(flags)
    option = next((each for each in all_options(command) if flags[0] in each.flags), None)
    for state, why in (
        (State.DIFFERS if option else State.MISSING, _listed(MISSING_OPTIONS, full, flags)),
        (State.NO_EFFECT, _listed(NO_EFFECT, full, flags)),
        (State.REFUSED, _listed(REFUSED, full, flags)),
        (State.REFUSED, _refused_option(full, command, option) if option else ""),
    ):
        if why:
            return Row(name=name, state=state, why=why)
    return Row(name=name, state=State.WORKS if option else State.MISSING)


def _listed(reasons: Mapping[str, str], full: str, flags: Sequence[str]) -> str:
    return next((reasons[key] for flag in flags if (key := f"{full} {flag}") in reasons), "")


def _refused_option(full: str, command: Command, option: Option) -> str:
    """Return why an option is rejected, according to the declarations."""
    if option.unsupported:
        return option.unsupported
    if command.opcode:
        for each in parameters(OPCODES[command.opcode]):
            if each.name == option.name and "instead" in each.extra:
                return str(each.extra["instead"])
    setting = {"hv_state": "hv_state_static", "disk_state": "disk_state_static"}
    setting |= {"enabled_data_collectors": "data_collectors"}
    setting |= {"data_collector_interval": "data_collectors"}
    setting |= {"add_uids": "uid_pool", "remove_uids": "uid_pool"}
    name = setting.get(option.name, option.name)
    if full in _SETTING_COMMANDS and name in UNSUPPORTED:
        return UNSUPPORTED[name][1]
    return ""


HEAD = """\
# The commands of Ganeti's tools

All commands and options of the tools of Ganeti 3.0, and how they are supported here:

* **works**: it accepts the same values and has the same effect. The output may differ; see
  [differences.md](differences.md#what-commands-print).
* **differs**: it exists and does something else, for the reason given.
* **no effect**: it is accepted for existing scripts, and has nothing to change.
* **refused**: its use fails with a message that has the reason and the alternative. Values that
  turn a setting off, or leave it unchanged, are accepted.
* **not there**: the command or option does not exist.

The options `--reason` and `-d, --debug` work with all commands. This page is generated from the
declarations of the tools and a list of Ganeti's commands; `tests.golden.test_cli` fails if an
option is missing without a reason, or if this page differs from what

    python -m tests.golden.command_table > doc/commands.md

writes.
"""


def page() -> str:
    """Return the table, for operators."""
    found = [(tool, list(rows(tool))) for tool in tools()]
    lines = [HEAD, *_summary([row for _, commands in found for row in commands])]
    for tool, commands in found:
        lines += [f"## {tool.name}\n", "| command | here | its options |", "|---|---|---|"]
        lines += map(_line, commands)
        ours = [each.name for each in tool.commands if each.name not in KNOWN.get(tool.name, {})]
        if ours:
            lines.append(f"\nOnly here: {', '.join(f'`{name}`' for name in ours)}.")
        lines.append("")
    return "\n".join(lines)


def _summary(commands: Sequence[CommandRow]) -> Iterator[str]:
    yield f"| what | all | {' | '.join(State)} |"
    yield f"|---|---{'|---' * len(State)}|"
    options = [option for row in commands for option in row.options]
    for what, counted in (("commands", commands), ("options", options)):
        states = [row.state for row in counted]
        numbers = [len(states), *(states.count(state) for state in State)]
        yield f"| {what} | {' | '.join(map(str, numbers))} |"
    yield "\nOptions of rejected commands are not counted.\n"


def _line(row: CommandRow) -> str:
    state = f"{row.state}: {sentence(row.why)}" if row.why else str(row.state)
    cells = [f"`{row.name}`", state, "<br>".join(_option_lines(row.options))]
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def _option_lines(options: Sequence[Row]) -> Iterator[str]:
    works = [f"`{each.name}`" for each in options if each.state is State.WORKS]
    if works:
        yield f"{State.WORKS}: {', '.join(works)}"
    by_reason: dict[tuple[State, str], list[str]] = {}
    for each in options:
        if each.state is not State.WORKS:
            by_reason.setdefault((each.state, each.why), []).append(f"`{each.name}`")
    for (state, why), names in by_reason.items():
        yield f"{state}: {', '.join(names)}. {sentence(why)}"


if __name__ == "__main__":
    print(page(), end="")
