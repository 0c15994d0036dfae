# SPDX-License-Identifier: BSD-2-Clause
"""What a command works with: the master, the terminal, and the node that it runs on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
INTERRUPTED = 130
"""As shells have it for a program that Ctrl-C has ended: 128 and the number of SIGINT."""


class ExitTool(GanetiError):
    """An error with an exit code; the message may be empty."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code


_LEAST_COLUMNS = 40
_DEFAULT_TERMINAL = (80, 24)


@contextmanager
def _exit_on_write_error() -> Iterator[None]:
    """Translate errors of writing the output.

    :raises ExitTool: if the output cannot be written, for example to a full disk.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has closed the pipe
    except OSError as e:
        raise ExitTool(FAILURE, f"the output cannot be written: {e.strerror}") from None


class IMasterClient(Protocol):
    """A client of the master; :class:`ganeti.luxi.client.LuxiClient` is one."""

    def ask(self, request: Request[R]) -> R: ...


class Session:
    """One call of a tool.

    ``connect`` is called when the master is first asked. ``answer`` shows a question and gives
    what the person at the terminal says; it is None without a terminal. ``secret`` does
    the same without showing it. ``stdin`` is what was piped in, if anything can be read there.
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
        secret: Callable[[str], str] | None = None,
        stdin: TextIO | None = None,
    ) -> None:
        self._connect = connect
        self._master: IMasterClient | None = None
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
        """Return the master's answer to a request.

        :raises GanetiError: the error that the master answers, or why it does not answer.
        """
        if self._master is None:
            self._master = self._connect()
        return self._master.ask(request)

    def print_line(self, line: str = "") -> None:
        """Print a line of the result."""
        with _exit_on_write_error():
            self._out.write(line + "\n")

    def show(self, text: str) -> None:
        """Print text of the result unchanged, and flush it."""
        with _exit_on_write_error():
            self._out.write(text)
            self._out.flush()

    def columns(self, most: int) -> int:
        """Return the width of the terminal, at most ``most``.

        The result is at least 40.
        """
        given = self.environment.get("COLUMNS", "")
        if given.isdecimal() and given.isascii():
            found = int(given[:4])
        else:
            try:
                found = os.get_terminal_size(self._out.fileno()).columns
            except (OSError, ValueError):
                found = most
        return min(max(found or most, _LEAST_COLUMNS), most)

    def terminal_size(self) -> tuple[int, int] | None:
        """Return the columns and lines of the terminal that the output goes to, if it is one."""
        if not self._out.isatty():
            return None
        try:
            size = os.get_terminal_size(self._out.fileno())
        except (OSError, ValueError):
            return _DEFAULT_TERMINAL
        return (size.columns, size.lines) if size.columns and size.lines else _DEFAULT_TERMINAL

    def print_status(self, line: str) -> None:
        """Print a line that is not part of the result, to the standard error."""
        # On a terminal, both outputs appear in the order in which they were printed.
        self._out.flush()
        self._err.write(line + "\n")
        self._err.flush()

    def question(self, text: str, otherwise: str) -> str:
        """Ask the user a question and return the answer.

        :raises ExitTool: if standard input is not a terminal; ``otherwise`` is the option to use
            instead.
        """
        if self._answer is None:
            raise ExitTool(
                NOT_CONFIRMED,
                f"standard input is not a terminal; use {otherwise} to skip the confirmation",
            )
        try:
            return self._answer(text).strip()
        except (EOFError, UnicodeDecodeError):
            # The cursor is still on the line of the question.
            self.print_line()
            return ""

    def secret(self, text: str, otherwise: str) -> str:
        """Return the answer to a question without showing it.

        :raises ExitTool: there is no terminal; ``otherwise`` is the option to use instead.
        """
        if self._secret is None:
            raise ExitTool(
                NOT_CONFIRMED,
                f"standard input is not a terminal; use {otherwise}",
            )
        try:
            return self._secret(text)
        except EOFError:
            raise ExitTool(FAILURE, "nothing was entered, nothing was done") from None

    def first_line(self, path: str) -> str:
        """The first line of a file, or of standard input for ``-``.

        :raises ExitTool: there is none.
        """
        try:
            if path == "-":
                line = "" if self._stdin is None else self._stdin.readline()
            else:
                with open(path, encoding="utf-8") as file:
                    line = file.readline()
        except OSError as e:
            raise ExitTool(FAILURE, f"cannot read {path}: {e.strerror}") from None
        except UnicodeDecodeError:
            raise ExitTool(FAILURE, f"cannot read {path}: it is not text in UTF-8") from None
        if not (line := line.rstrip("\r\n")):
            raise ExitTool(FAILURE, f"the first line of {path} is empty")
        return line

    def confirm(self, question: str, otherwise: str) -> None:
        """Return only if the user answers ``question`` with yes.

        :raises ExitTool: if the answer is no, or standard input is not a terminal; ``otherwise`` is
            the option that skips the question.
        """
        while True:
            said = self.question(f"{question} y[es]/[n]o: ", otherwise).lower()
            if said in ("y", "yes"):
                return
            if said in ("", "n", "no"):
                raise ExitTool(FAILURE, "not confirmed; nothing was changed")
