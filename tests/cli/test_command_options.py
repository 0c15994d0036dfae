# SPDX-License-Identifier: BSD-2-Clause
"""Options that all commands of one sort have, whichever tool they belong to."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import READS, Command
from ganeti.cli.command_options import all_options
from tests.cli.completion.test_candidates import tools

SHOWING = ("list", "info", "show", "status", "volumes", "diagnose", "health", "capacity")
"""Last words, or first parts of them, in the names of commands that show something."""

TEXT_ONLY = {
    "gnt-backup repository show-key": "one word",
    "gnt-group show-ispecs-cmd": "commands to run",
    "gnt-cluster show-ispecs-cmd": "a command to run",
}

PARTLY = {
    "gnt-cluster destroy": "it ends the master, which runs no job then",
    "gnt-instance console": "it becomes the console",
    "gnt-debug test-jobqueue": "it waits for the jobs that it submits",
}
"""Commands with some options of jobs only, and why."""


def commands() -> Iterator[tuple[str, Command, set[str]]]:
    """The supported commands of all tools, with the flags that they have."""
    for tool in tools():
        for command in tool.commands:
            if not command.unsupported:
                options = [each for each in all_options(command) if not each.unsupported]
                flags = {flag for option in options for flag in option.flags}
                yield f"{tool.name} {command.name}", command, flags


class OptionTests(SynchronousTestCase):
    def test_every_command_that_shows_something_has_output_for_programs(self) -> None:
        found = {
            name
            for name, command, flags in commands()
            if command.name.split(" ")[-1].split("-")[0] in SHOWING and "--output" not in flags
        }
        self.assertEqual(found, set(TEXT_ONLY))

    def test_every_command_that_submits_jobs_shows_its_plan_and_checks_itself(self) -> None:
        wanted = {"--plan", "--dry-run", "--submit", "--priority", "--reason"}
        found = {
            name
            for name, command, flags in commands()
            if (command.opcode or command.submits)
            and not wanted <= flags
            and not (command.job_options == READS and "--output" in flags)
        }
        self.assertEqual(found, set(PARTLY))
