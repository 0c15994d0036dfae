# SPDX-License-Identifier: BSD-2-Clause
"""What is typed finds its command, or an answer that helps."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_job.commands import GNT_JOB
from ganeti.errors import Refused
from ganeti.luxi.methods import Query
from tests.cli.terminal import Terminal


class CommandTests(SynchronousTestCase):
    def test_aliases_are_commands(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_INSTANCE, "start", "web1"), 0)
        self.assertEqual(terminal.job().op_id, "OP_INSTANCE_STARTUP")

    def test_help_lists_the_commands(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_JOB, "--help"), 0)
        self.assertIn("\n  watch            Show the messages", terminal.out)

    def test_no_command_or_an_unknown_one_lists_them_and_fails(self) -> None:
        for given in ((), ("rhubarb",)):
            terminal = Terminal()
            self.assertEqual(terminal.run(GNT_JOB, *given), 1)
            self.assertIn("Commands:", terminal.out)
        self.assertEqual(terminal.err, "Error: unknown command rhubarb\n")

    def test_a_mistyped_command_is_answered_with_similar_ones_only(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_JOB, "lst"), 1)
        told = "Error: unknown command lst; did you mean list? See gnt-job --help\n"
        self.assertEqual((terminal.out, terminal.err), ("", told))

    def test_the_version_is_told(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_JOB, "--version"), 0)
        self.assertRegex(terminal.out, r"^gnt-job \(ganeti v\S+\) \S+\n$")

    def test_a_bad_option_has_its_exit_code(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_JOB, "list", "--no-header-s"), 2)
        self.assertIn("did you mean --no-headers", terminal.err)

    def test_too_few_and_too_many_words_are_told_with_the_usage(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_JOB, "watch"), 1)
        self.assertEqual(
            terminal.err,
            "Error: job-id is missing; usage: gnt-job watch [options] JOB-ID\n",
        )
        self.assertEqual(terminal.run(GNT_JOB, "watch", "1", "2"), 1)
        self.assertIn("unexpected argument 2", terminal.err)

    def test_what_the_master_says_is_told_in_one_line(self) -> None:
        terminal = Terminal({Query: Refused("not now")})
        self.assertEqual(terminal.run(GNT_JOB, "list"), 1)
        self.assertEqual(terminal.err, "Failure: not now\n")

    def test_with_debug_it_is_shown_where_an_error_comes_from(self) -> None:
        terminal = Terminal({Query: Refused("not now")})
        self.assertRaises(Refused, terminal.run, GNT_JOB, "list", "--debug")

    def test_the_options_of_a_command_line_that_is_passed_on_are_not_those_of_the_tool(
        self,
    ) -> None:
        for words in (("df", "-h"), ("-n", "node1", "df", "--help"), ("--", "-h"), ("df", "-d")):
            terminal = Terminal({Query: Refused("not now")})
            self.assertEqual(terminal.run(GNT_CLUSTER, "command", *words), 1, words)
            self.assertEqual((terminal.out, terminal.err), ("", "Failure: not now\n"), words)

    def test_a_command_that_passes_words_on_has_help_too(self) -> None:
        for words in (("-h",), ("-n", "node1", "--help", "df")):
            terminal = Terminal()
            self.assertEqual(terminal.run(GNT_CLUSTER, "command", *words), 0, words)
            self.assertIn("Usage: gnt-cluster command", terminal.out)

    def test_what_only_ganeti_has_is_refused_by_its_name_with_a_reason(self) -> None:
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_DEBUG, "wconfd", "ping"), 1)
        self.assertRegex(terminal.err, "^Error: gnt-debug wconfd is not supported .*: the master")
        self.assertEqual(terminal.run(GNT_CLUSTER, "renew-crypto", "-f", "--ssh-key-bits=4096"), 2)
        self.assertRegex(terminal.err, "^Error: --ssh-key-bits is not supported .*: nodes are")
        self.assertEqual(terminal.asked(), [])

    def test_help_has_the_width_of_the_terminal(self) -> None:
        for columns, most in (("40", 40), ("200", 80), ("9", 40), ("x", 80), ("0", 80)):
            terminal = Terminal(environment={"COLUMNS": columns})
            self.assertEqual(terminal.run(GNT_JOB, "--help"), 0)
            longest = max(len(line) for line in terminal.out.splitlines()[1:])
            self.assertLessEqual(longest, most, columns)
            self.assertGreater(longest, most // 2, columns)
