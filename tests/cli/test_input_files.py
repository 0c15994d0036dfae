# SPDX-License-Identifier: BSD-2-Clause
"""Files that are named on the command line are read, or it is said which cannot be, and why."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.input_files import read_bytes, read_lines
from ganeti.cli.session import ExitTool
from tests.cli.terminal import Terminal


class ReadTests(SynchronousTestCase):
    def file(self, content: bytes) -> str:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return str(path)

    def test_what_is_missing_is_named_with_the_reason(self) -> None:
        error = self.assertRaises(ExitTool, read_bytes, "/nowhere")
        self.assertEqual(str(error), "/nowhere cannot be read: No such file or directory")
        self.assertIn("'' cannot be read", str(self.assertRaises(ExitTool, read_bytes, "")))

    def test_text_is_utf_8_whatever_the_locale(self) -> None:
        self.assertEqual(read_lines(self.file("a\nä\n".encode())), ["a", "ä"])
        error = self.assertRaises(ExitTool, read_lines, self.file(b"a\n\xff\n"))
        self.assertIn("byte 2 is not UTF-8", str(error))

    def test_the_standard_input_is_read_as_bytes(self) -> None:
        # As in a locale without UTF-8, where Python would hide such bytes in the text.
        piped = io.TextIOWrapper(io.BytesIO(b"a\n\xff\n"), "ascii", "surrogateescape")
        self.patch(sys, "stdin", piped)
        self.assertIn("standard input", str(self.assertRaises(ExitTool, read_lines, "-")))

    def test_a_closed_standard_input_is_empty(self) -> None:
        self.patch(sys, "stdin", None)
        self.assertEqual(read_lines("-"), [])
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_CLUSTER, "add-tags", "--from", "-"), 1)
        self.assertIn("no tags are given", terminal.err)

    def test_every_command_that_reads_a_file_says_so(self) -> None:
        terminal = Terminal()
        for tool, *words in (
            (GNT_CLUSTER, "add-tags", "--from"),
            (GNT_DEBUG, "submit-job"),
            (GNT_INSTANCE, "batch-create"),
        ):
            self.assertEqual(terminal.run(tool, *words, "/nowhere"), 1)
            self.assertEqual(
                terminal.err, "Error: /nowhere cannot be read: No such file or directory\n"
            )
