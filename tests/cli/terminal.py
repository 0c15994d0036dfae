# SPDX-License-Identifier: BSD-2-Clause
"""Tools run against a master in memory, by somebody who answers questions beforehand."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Arguments, Command, Tool
from ganeti.cli.dispatch import run
from ganeti.cli.session import Session
from ganeti.luxi.methods import Request, WaitForJobChange
from ganeti.opcodes.opcode import Opcode
from ganeti.paths import Paths
from ganeti.testing.master import BlockingMemoryMaster

Canned: TypeAlias = dict[type[Request[Any]], Any]

R = TypeVar("R")

NOW = 1_700_000_000.25


@dataclass
class Terminal:
    """A terminal at the node ``node1``; ``answers`` are None where nobody sits before it.

    Jobs succeed at once, with ``result``, unless ``canned`` says something else. It is ``NOW`` when
    a tool begins, and later by what it sleeps; ``sleeping`` happens whenever it does. ``secrets``
    are answers that are not shown, ``stdin`` what is piped in. With a ``size``, in columns and
    lines, the output goes to a terminal. ``questions`` are those that were asked.
    """

    canned: Canned = field(default_factory=dict)
    answers: list[str] | None = None
    result: Any = None
    environment: Mapping[str, str] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)
    sleeping: Callable[[], object] | None = None
    secrets: list[str] | None = None
    stdin: str = ""
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.canned.setdefault(WaitForJobChange, self._ended)
        self.master = BlockingMemoryMaster(self.canned)
        self.out = ""
        self.err = ""
        self.slept: list[float] = []
        self.questions: list[str] = []

    def run(self, tool: Tool, *words: str) -> int:
        """Call the tool; its exit code."""
        return self.call(lambda session: run(tool, words, session))

    def call(self, action: Callable[[Session], R]) -> R:
        """Call a function with a session of this terminal; what it returns."""
        out, err = io.StringIO(), io.StringIO()
        session = SizedSession(
            self.size,
            connect=lambda: self.master,
            out=out,
            err=err,
            answer=None if self.answers is None else self._answer,
            paths=self.paths,
            host=lambda: "node1",
            environment=self.environment,
            clock=lambda: NOW + sum(self.slept),
            sleep=self._sleep,
            secret=None if self.secrets is None else lambda _: (self.secrets or []).pop(0),
            stdin=io.StringIO(self.stdin),
        )
        try:
            return action(session)
        finally:
            self.out, self.err = out.getvalue(), err.getvalue()

    def asked(self) -> Sequence[Request[Any]]:
        """Everything that the master was asked."""
        return self.master.memory.asked

    def job(self) -> Opcode:
        """The only opcode of the job that was submitted last, without what every opcode has."""
        (opcode,) = self.master.memory.last_job()
        return opcode

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.sleeping is not None:
            self.sleeping()

    def _answer(self, question: str) -> str:
        self.questions.append(question)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def _ended(self, request: WaitForJobChange) -> Any:
        opcodes = self.master.memory.jobs[request.job_id]
        return [["success", ["success"] * len(opcodes), [self.result] * len(opcodes)], []]


class SizedSession(Session):
    """A session with a terminal of a fixed size."""

    def __init__(self, size: tuple[int, int] | None, **over: Any) -> None:
        super().__init__(**over)
        self._size = size

    def terminal_size(self) -> tuple[int, int] | None:
        return self._size


def arguments(command: str = "", /, **values: Any) -> Arguments:
    """The arguments of a command that has this name, of the tool ``gnt-tool``."""
    return Arguments("gnt-tool", Command(name=command), values)


def answer(fields: Mapping[str, str], *rows: Sequence[Any]) -> Callable[[Any], Any]:
    """The answer to a query: kinds of fields by name, and rows of values."""

    def made(_: Any) -> Any:
        return {
            "fields": [
                {"name": name, "title": name.capitalize(), "kind": kind, "doc": f"The {name}."}
                for name, kind in fields.items()
            ],
            "data": [[[0, value] for value in row] for row in rows],
        }

    return made


def in_utc(test: SynchronousTestCase) -> None:
    """Let local time be UTC until the end of ``test``."""
    # Last in, first out: the zone is read again when the variable is as it was.
    test.addCleanup(time.tzset)
    os.putenv("TZ", "UTC")
    time.tzset()
    test.addCleanup(os.unsetenv, "TZ")
