# SPDX-License-Identifier: BSD-2-Clause
"""Every command with every option against a real master, with values that make no sense.

Whatever is typed ends in an exit code and in words: no traceback, no wait without end, and nothing
printed of what this is written in.
"""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Iterator, Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Command, Tool
from ganeti.cli.command_options import all_options
from ganeti.cli.dispatch import run
from ganeti.cli.session import Session
from tests.cli.test_nonsense import NONSENSE
from tests.golden.command_table import tools
from tests.system.running import SharedCluster

WORDS = {
    "instance": "first.trial",
    "node": "node3.trial",
    "node|group": "node3.trial",
    "group": "default",
    "os": "noop",
    "file": "/nowhere",
    "size": "1m",
    "disk-number": "0",
    "command": "true",
    "job-id": "1",
    "seconds": "0",
}
ENDLESS = {"gnt-cluster watch", "gnt-debug locks"}
DANGEROUS = {"gnt-cluster destroy", "gnt-cluster epo", "gnt-cluster master-failover"}
"""What ends the cluster, or waits for hosts to switch off."""

LEAKS = re.compile(
    r"Traceback|Error\(|<class|object at 0x|NoneType|invalid literal|\[Errno|msgspec|Expected `"
)

MAX_SLEEPS = 5


class Slept(Exception):
    """A command goes on waiting."""


class Caller:
    """Calls commands in this process, as that takes a tenth of the time."""

    def __init__(self, running: SharedCluster) -> None:
        self._running = running.running
        self._sleeps = 0

    def call(self, tool: Tool, *words: str) -> tuple[int, str]:
        """Return the exit code, and all that was printed."""
        out, err = io.StringIO(), io.StringIO()
        master = self._running.cluster.master
        self._sleeps = 0
        session = Session(
            connect=self._running.client,
            out=out,
            err=err,
            answer=None,
            paths=master.paths,
            host=lambda: master.name,
            environment={},
            clock=time.time,
            sleep=self._sleep,
        )
        try:
            return run(tool, words, session), out.getvalue() + err.getvalue()
        except Slept:
            return 0, out.getvalue() + err.getvalue()

    def _sleep(self, seconds: float) -> None:
        self._sleeps += 1
        if self._sleeps > MAX_SLEEPS:
            raise Slept
        time.sleep(min(seconds, 0.01))


def commands() -> Iterator[tuple[Tool, Command]]:
    """The commands to try."""
    for tool in tools():
        for command in tool.commands:
            if f"{tool.name} {command.name}" not in ENDLESS | DANGEROUS:
                yield tool, command


def harmless(command: Command) -> list[str]:
    """The options by which a command asks nothing and changes as little as it can."""
    flags = {flag for option in all_options(command) for flag in option.flags}
    return [flag for flag in ("--dry-run", "--force", "--yes", "--token-only") if flag in flags]


def usual(command: Command) -> list[str]:
    """CommandGroup that make sense."""
    return [
        each.choices[-1] if each.choices else WORDS.get(each.kind, "x") for each in command.words
    ]


class NonsenseTests(SharedCluster):
    def setUp(self) -> None:
        super().setUp()
        master = self.running.cluster.master
        for name, value in (("ROOTDIR", master.paths.root), ("HOSTNAME", master.name)):
            self.patch(os, "environ", {**os.environ, f"GANETI_{name}": value})
        self.caller = Caller(self)
        self.problems: list[str] = []

    def check(self, tool: Tool, words: Sequence[str]) -> None:
        try:
            code, said = self.caller.call(tool, *words)
        except Exception as e:  # whatever a user would see as a traceback
            code, said = 1, f"Traceback: {e!r}"
        if LEAKS.search(said) or not (code == 0 or said):
            given = " ".join(map(repr, words))
            self.problems.append(f"{tool.name} {given} -> {code}: {said[-300:]}")

    def test_values_of_options(self) -> None:
        for turn, (tool, command) in enumerate(commands()):
            start = [command.name, *harmless(command)]
            for index, option in enumerate(all_options(command)):
                # Every option has a few of the texts, and each text comes to many options.
                for text in NONSENSE[(turn + index) % 11 :: 11] if option.kind else ():
                    self.check(tool, [*start, option.flags[-1], text, "--", *usual(command)])
        self.assertEqual(self.problems, [])

    def test_words(self) -> None:
        for turn, (tool, command) in enumerate(commands()):
            start = [command.name, *harmless(command), "--"]
            for index in range(len(command.words)):
                for text in NONSENSE[(turn + index) % 4 :: 4]:
                    words = usual(command)
                    words[index] = text
                    self.check(tool, [*start, *words])
        self.assertEqual(self.problems, [])


class StillThereTests(SynchronousTestCase):
    def test_what_is_left_out_exists(self) -> None:
        names = {f"{tool.name} {command.name}" for tool in tools() for command in tool.commands}
        self.assertEqual((ENDLESS | DANGEROUS) - names, set())
