# SPDX-License-Identifier: BSD-2-Clause
"""Every program has a manual page, and the pages tell of every option."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ganeti.cli.command_options import all_options
from tests.golden.command_table import tools
from tools.manual import escaped, page

SOURCES = Path(__file__).parent.parent.parent / "man"


def pages() -> dict[str, str]:
    """The pages by the names of their files."""
    return {path.stem: page(path.read_text()) for path in sorted(SOURCES.glob("*.in"))}


class ManualTests(SynchronousTestCase):
    def test_every_program_has_a_page(self) -> None:
        launchers = SOURCES.parent.joinpath("daemons").glob("*.in")
        programs = {path.stem for path in launchers if path.stem.startswith(("gnt-", "ganeti-"))}
        self.assertEqual(programs - {name.split(".")[0] for name in pages()}, set())

    def test_every_command_and_option_of_a_tool_is_on_its_page(self) -> None:
        written = pages()
        for tool in tools():
            text = written[f"{tool.name}.8"] + written["ganeti.7"]
            for command in tool.commands:
                self.assertIn(f".SS {escaped(command.name)}\n", text)
                for option in all_options(command):
                    self.assertIn(f".B {escaped(option.shape)}\n", text)

    def test_no_marker_is_left_and_no_line_is_taken_for_a_request(self) -> None:
        for name, text in pages().items():
            self.assertNotIn("@", text.replace("user@host", ""), name)
            self.assertTrue(text.isascii(), name)

    def test_text_is_written_so_that_it_is_shown(self) -> None:
        self.assertEqual(escaped("a-b\\c…"), "a\\-b\\ec...")

    def test_the_formatter_has_nothing_to_say(self) -> None:
        groff = shutil.which("groff")
        if groff is None:
            raise SkipTest("groff is not here")
        for name, text in pages().items():
            words = [groff, "-man", "-Tascii", "-ww", "-z"]
            done = subprocess.run(words, input=text.encode(), capture_output=True, timeout=30)
            self.assertEqual(done.stderr.decode(), "", name)
