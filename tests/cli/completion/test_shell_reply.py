# SPDX-License-Identifier: BSD-2-Clause
"""A shell gets candidates in the form that it inserts, soon, and never an error."""

from __future__ import annotations

import re
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.completion.shell_reply import DeadlineExceeded, answer, deadline
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.errors import Refused
from ganeti.luxi.methods import Query, QueryFields
from ganeti.testing.builders import a_cluster
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal

TREE = Path(__file__).parent.parent.parent.parent
BREAKS = " \t\n\"'><=;|&(:"


class FixedNames:
    """NameFinder that are always the same, some of them odd."""

    def find_names(self, kind: str, prefix: str, owner: str = "", of: str = "") -> list[str]:
        return ["web1", "web $(reboot)", "web\n2"]


def reply(shell: str, line: str) -> list[str]:
    return answer(GNT_INSTANCE, [shell, line, BREAKS], FixedNames())


class AnswerTests(SynchronousTestCase):
    def test_bash_inserts_quoted_text_and_a_space(self) -> None:
        self.assertEqual(
            reply("bash", "gnt-instance start w"),
            [
                "none",
                "web1 ",
                "web\\ \\$\\(reboot\\) ",
            ],
        )

    def test_within_quotes_readline_closes_the_quote(self) -> None:
        self.assertEqual(reply("bash", "gnt-instance start 'w"), ["none", "web1", "web $(reboot)"])

    def test_bash_replaces_only_what_follows_a_break(self) -> None:
        found = reply("bash", "gnt-instance move --node=w")
        self.assertEqual(found, ["none", "web1 ", "web\\ \\$\\(reboot\\) "])

    def test_zsh_gets_words_with_what_they_mean(self) -> None:
        found = reply("zsh", "gnt-instance remove --for")
        self.assertEqual(found, ["none", "--force \tDo not ask for confirmation."])
        self.assertEqual(reply("zsh", "gnt-instance move --node=w")[1], "--node=web1 \t")

    def test_files_are_left_to_the_shell(self) -> None:
        self.assertEqual(reply("bash", "gnt-instance batch-create "), ["files"])

    def test_nonsense_is_not_answered(self) -> None:
        for given in (
            ["bash", "gnt-instance info \udcff"],
            [],
            ["fish", "gnt-instance "],
            ["bash"],
            ["bash", ""],
            ["zsh", "gnt-inst"],
        ):
            self.assertEqual(answer(GNT_INSTANCE, given, FixedNames()), [])


class PrintingTests(SynchronousTestCase):
    def test_a_tool_answers_with_live_names(self) -> None:
        terminal = Terminal(answers_about(a_cluster(instances=["web1", "db1"])))
        line = "gnt-instance start w"
        self.assertEqual(terminal.run(GNT_INSTANCE, "--complete", "bash", line, BREAKS), 0)
        self.assertEqual(terminal.out, "none\nweb1 \n")

    def test_an_error_of_the_master_leaves_the_other_candidates(self) -> None:
        terminal = Terminal({QueryFields: Refused("no")})
        line = "gnt-instance list -o js"
        self.assertEqual(terminal.run(GNT_INSTANCE, "--complete", "bash", line, BREAKS), 0)
        self.assertEqual((terminal.out, terminal.err), ("none\njson \n", ""))

    def test_a_master_that_does_not_answer_is_asked_once(self) -> None:
        asked: list[Query] = []

        def refuse(request: Query) -> None:
            asked.append(request)
            raise Refused("no")

        terminal = Terminal({Query: refuse})
        terminal.run(GNT_CLUSTER, "--complete", "bash", "gnt-cluster epo ", BREAKS)
        self.assertEqual(len(asked), 1)
        self.assertIn("--groups \n", terminal.out)


class ScriptTests(SynchronousTestCase):
    def test_the_scripts_of_both_shells_are_for_all_tools(self) -> None:
        tools = {path.stem for path in TREE.glob("daemons/gnt-*.in")}
        for name in ("ganeti.bash", "_ganeti"):
            text = (TREE / "completion" / name).read_text(encoding="utf-8")
            command = (
                text.splitlines()[0] if name == "_ganeti" else text[text.index("complete -F") :]
            )
            self.assertEqual(set(re.findall(r"gnt-\w+", command)), tools)


class DeadlineTests(SynchronousTestCase):
    def test_what_takes_too_long_is_interrupted(self) -> None:
        def wait() -> None:
            with deadline(0.001):
                while True:
                    pass

        self.assertRaises(DeadlineExceeded, wait)

    def test_nothing_is_interrupted_later(self) -> None:
        with deadline(0.001):
            pass
        began = time.monotonic()
        while time.monotonic() < began + 0.002:
            pass
