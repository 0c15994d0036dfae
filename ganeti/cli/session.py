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


class Ended(GanetiError):
    """A command ends with an exit code of its own; the message may be empty."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


class Asks(Protocol):
    """Asks the master; :class:`ganeti.luxi.client.Client` is one."""

    def ask(self, request: Request[R]) -> R: ...


class Session:
    """One call of a tool.

    ``connect`` is called when the master is first asked. ``answer`` shows a question and gives
    what the person at the terminal says; it is None where there is nobody to ask. ``secret`` does
    the same without showing it. ``stdin`` is what was piped in, if anything can be read there.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Asks],
        out: TextIO,
        err: TextIO,
        answer: Callable[[str], str] | None,
        paths: Paths,
        host: Callable[[], str],
        environment: Mapping[str, str],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        secret: Callable[[str], str] | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self._connect = connect
        self._master: Asks | None = None
        self._out = out
        self._err = err
        self._answer = answer
        self._secret = secret
        self._stdin = stdin
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
            raise Ended(
                NOT_CONFIRMED,
                f"standard input is not a terminal, so this cannot be confirmed; use {otherwise}",
            )
        try:
            return self._answer(text).strip()
        except (EOFError, UnicodeDecodeError):
            self.say()
            return ""

    def secret(self, text: str, otherwise: str) -> str:
        """What somebody answers without showing it.

        :raises Ended: nobody is there; ``otherwise`` is the option to use instead.
        """
        if self._secret is None:
            raise Ended(
                NOT_CONFIRMED,
                f"standard input is not a terminal, so nobody can be asked; use {otherwise}",
            )
        try:
            return self._secret(text)
        except EOFError:
            raise Ended(FAILURE, "nothing was entered, nothing was done") from None

    def first_line(self, path: str) -> str:
        """The first line of a file, or of standard input for ``-``.

        :raises Ended: there is none.
        """
        try:
            if path == "-":
                line = "" if self._stdin is None else self._stdin.readline()
            else:
                with open(path, encoding="utf-8") as file:
                    line = file.readline()
        except (OSError, UnicodeDecodeError) as e:
            raise Ended(FAILURE, f"{path} cannot be read: {e}") from None
        if not (line := line.rstrip("\r\n")):
            raise Ended(FAILURE, f"the first line of {path} is empty")
        return line

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
                raise Ended(FAILURE, "not confirmed, nothing was done")
