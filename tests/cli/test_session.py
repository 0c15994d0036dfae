# SPDX-License-Identifier: BSD-2-Clause
"""A session asks, confirms and writes, and says what to do where it cannot."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli import session as codes
from ganeti.cli.session import FAILURE, NOT_CONFIRMED, ExitTool, Session
from ganeti.luxi.methods import QueryConfigValues
from ganeti.paths import Paths
from ganeti.testing.master import BlockingMemoryMaster
from tests.cli.terminal import Terminal


class FullDisk(io.StringIO):
    """A file on a full disk, or with another ``error``."""

    def __init__(self, error: int = errno.ENOSPC) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise OSError(self._error, os.strerror(self._error))


def a_session(**over: Any) -> Session:
    fields: dict[str, Any] = {
        "connect": lambda: BlockingMemoryMaster({}),
        "out": io.StringIO(),
        "err": io.StringIO(),
        "answer": None,
        "paths": Paths(),
        "host": lambda: "node1",
        "environment": {},
        "clock": lambda: 0.0,
        "sleep": lambda _: None,
    }
    return Session(**{**fields, **over})


class QuestionTests(SynchronousTestCase):
    def confirm(self, *answers: str) -> list[str]:
        """Ask for a confirmation; the questions."""
        terminal = Terminal(answers=list(answers))
        try:
            terminal.call(lambda session: session.confirm("Remove it?", "--force"))
        finally:
            self.questions = terminal.questions
        return self.questions

    def test_yes_has_several_forms(self) -> None:
        for said in ("y", "yes", " YES "):
            self.assertEqual(self.confirm(said), ["Remove it? y[es]/[n]o: "])

    def test_anything_else_is_asked_again(self) -> None:
        self.assertEqual(len(self.confirm("perhaps", "yess", "y")), 3)

    def test_no_and_nothing_change_nothing(self) -> None:
        for answers in (("n",), ("No",), ("",), ()):
            error = self.assertRaises(ExitTool, self.confirm, *answers)
            self.assertEqual(str(error), "not confirmed; nothing was changed")
            self.assertEqual(error.code, FAILURE)

    def test_an_input_that_is_no_text_is_no_answer(self) -> None:
        def answer(_: str) -> str:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

        self.assertEqual(a_session(answer=answer).question("Which?", "--which"), "")

    def test_without_a_terminal_the_option_is_named(self) -> None:
        with self.assertRaisesRegex(ExitTool, "use --force to skip the confirmation") as caught:
            a_session().confirm("Remove it?", "--force")
        self.assertEqual(caught.exception.code, NOT_CONFIRMED)


class SecretTests(SynchronousTestCase):
    def secret(self, answer: Callable[[str], str] | None) -> str:
        return a_session(secret=answer).secret("Password: ", "--password-file")

    def test_it_is_what_was_typed(self) -> None:
        self.assertEqual(self.secret(lambda _: " x "), " x ")

    def test_the_end_of_input_is_none(self) -> None:
        def end(_: str) -> str:
            raise EOFError

        with self.assertRaisesRegex(ExitTool, "nothing was entered, nothing was done"):
            self.secret(end)

    def test_without_a_terminal_the_option_is_named(self) -> None:
        with self.assertRaisesRegex(ExitTool, "not a terminal; use --password-file$"):
            self.secret(None)


class FirstLineTests(SynchronousTestCase):
    def read(self, content: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return a_session().first_line(str(path))

    def test_the_rest_of_a_file_does_not_matter(self) -> None:
        for content in (b"secret", b"secret\n", b"secret\r\nmore\n"):
            self.assertEqual(self.read(content), "secret")
        self.assertEqual(self.read(b" a b \n"), " a b ")

    def test_a_file_without_a_first_line_is_refused(self) -> None:
        for content in (b"", b"\n", b"\r\nsecret\n"):
            with self.assertRaisesRegex(ExitTool, "^the first line of .* is empty$"):
                self.read(content)

    def test_a_file_that_is_no_text_is_refused(self) -> None:
        with self.assertRaisesRegex(ExitTool, "it is not text in UTF-8"):
            self.read(b"\xff\xfe\n")

    def test_a_dash_is_the_standard_input(self) -> None:
        session = a_session(stdin=io.StringIO("secret\nmore\n"))
        self.assertEqual(session.first_line("-"), "secret")
        with self.assertRaisesRegex(ExitTool, "the first line of - is empty"):
            a_session().first_line("-")


class OutputTests(SynchronousTestCase):
    def test_a_full_disk_is_told(self) -> None:
        session = a_session(out=FullDisk())
        for write in (session.print_line, session.show):
            with self.assertRaisesRegex(ExitTool, "cannot be written: No space left on device"):
                write("x")

    def test_a_reader_that_has_closed_the_pipe_is_no_error_of_the_output(self) -> None:
        session = a_session(out=FullDisk(errno.EPIPE))
        self.assertRaises(BrokenPipeError, session.print_line, "x")

    def test_the_width_is_that_of_the_environment_within_bounds(self) -> None:
        for given, width in (("80", 80), ("20", 40), ("500", 120), ("99999", 120), ("x", 120)):
            session = a_session(environment={"COLUMNS": given})
            self.assertEqual(session.columns(120), width, given)
        self.assertEqual(a_session().columns(100), 100)

    def test_a_file_has_no_size(self) -> None:
        self.assertIs(a_session().terminal_size(), None)

    def test_a_terminal_of_unknown_size_has_the_usual_one(self) -> None:
        class Unknown(io.StringIO):
            def isatty(self) -> bool:
                return True

        self.assertEqual(a_session(out=Unknown()).terminal_size(), (80, 24))


class MasterTests(SynchronousTestCase):
    def test_the_master_is_connected_once_and_only_if_it_is_asked(self) -> None:
        connected: list[BlockingMemoryMaster] = []

        def connect() -> BlockingMemoryMaster:
            connected.append(BlockingMemoryMaster({QueryConfigValues: [False]}))
            return connected[-1]

        session = a_session(connect=connect)
        self.assertEqual(connected, [])
        for _ in range(2):
            self.assertEqual(session.ask(QueryConfigValues(fields=("drain_flag",))), [False])
        self.assertEqual(len(connected), 1)


class ExitCodeTests(SynchronousTestCase):
    def test_they_are_those_that_scripts_know(self) -> None:
        wanted = {
            "FAILURE": 1,
            "BAD_OPTION": 2,
            "NOT_IN_CLUSTER": 5,
            "NOT_MASTER": 11,
            "NODE_SETUP": 12,
            "NOT_CONFIRMED": 13,
            "UNKNOWN_FIELD": 14,
            "INTERRUPTED": 130,
        }
        self.assertEqual({name: getattr(codes, name) for name in wanted}, wanted)
