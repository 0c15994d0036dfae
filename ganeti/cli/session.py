# SPDX-License-Identifier: BSD-2-Clause
"""What a command works with: the master, the terminal, and the node that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TextIO, TypeVar

from ganeti.errors import GanetiError

if TYPE_CHECKING:
    from ganeti.luxi.methods import Request
    from ganeti.paths import Paths

R = TypeVar("R")

FAILURE = 1
BAD_OPTION = 2
NOT_IN_CLUSTER = 5
NOT_MASTER = 11
NODE_SETUP = 12
NOT_CONFIRMED = 13
UNKNOWN_FIELD = 14


class ExitTool(GanetiError):
    """A command ends with an exit code of its own; the message may be empty."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


class IMasterClient(Protocol):
    """Asks the master; :class:`ganeti.luxi.client.Client` is one."""

    def ask(self, request: Request[R]) -> R: ...


class Session:
    """One call of a tool.

    ``connect`` is called when the master is first asked. ``answer`` shows a question and gives
    what the person at the terminal says; it is None where there is nobody to ask.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], IMasterClient],
        out: TextIO,
        err: TextIO,
        answer: Callable[[str], str] | None,
        paths: Paths,
        host: Callable[[], str],
        environment: Mapping[str, str],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._connect = connect
        self._master: IMasterClient | None = None
        self._out = out
        self._err = err
        self._answer = answer
        self.paths = paths
        self.host = host
        self.environment = environment
        self.clock = clock
        self.sleep = sleep

    def ask(self, request: Request[R]) -> R:
        """The master's answer.

        :raises GanetiError: what it answers, or why it does not.
        """
        if self._master is None:
            self._master = self._connect()
        return self._master.ask(request)

    def say(self, line: str = "") -> None:
        """Print a line of the result."""
        self._out.write(line + "\n")

    def show(self, text: str) -> None:
        """Print something as it is, at once."""
        self._out.write(text)
        self._out.flush()

    def tell(self, line: str) -> None:
        """Print a line that is not part of the result."""
        self._out.flush()
        self._err.write(line + "\n")
        self._err.flush()

    def question(self, text: str, otherwise: str) -> str:
        """What somebody answers.

        :raises Ended: nobody is there; ``otherwise`` is the option to use instead.
        """
        if self._answer is None:
            raise ExitTool(
                NOT_CONFIRMED,
                f"standard input is not a terminal, so this cannot be confirmed; use {otherwise}",
            )
        try:
            return self._answer(text).strip()
        except (EOFError, UnicodeDecodeError):
            self.say()
            return ""

    def confirm(self, question: str, otherwise: str) -> None:
        """Go on only if the answer to ``question`` is yes.

        :raises Ended: it is not, or nobody is there to ask; ``otherwise`` is the option that
            answers beforehand.
        """
        while True:
            said = self.question(f"{question} y[es]/[n]o: ", otherwise).lower()
            if said in ("y", "yes"):
                return
            if said in ("", "n", "no"):
                raise ExitTool(FAILURE, "not confirmed, nothing was done")
