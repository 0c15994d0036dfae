# SPDX-License-Identifier: BSD-2-Clause
"""Whatever is typed ends in a request or a refusal, for every command and option."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Command, Tool
from ganeti.cli.command_options import all_options
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.cli.options import BadOption
from ganeti.luxi.methods import Query
from tests.cli.terminal import Terminal, answer
from tests.golden.command_table import tools

NONSENSE = (
    *(
        "",
        "x",
        "-1",
        "0",
        "1.5",
        "nan",
        "inf",
        "1e400",
        "9" * 23,
        "9" * 5000,
        "é",
        "\n",
        "a" * 3000,
        "null",
    ),
    *("a,b=c", ":", "0:", "no_x", "-x", '{"a":', "1k", "default", "../../etc", "0:remove"),
)


def requests() -> Iterator[tuple[Tool, Command]]:
    """Every command that does no more than to submit a request."""
    for tool in tools():
        for command in tool.commands:
            if command.opcode and command.run is None and not command.unsupported:
                yield tool, command


class OptionTests(SynchronousTestCase):
    def test_every_value_of_every_option_is_read_or_refused(self) -> None:
        for tool in tools():
            for command in tool.commands:
                for option in all_options(command):
                    for text in NONSENSE if option.kind else ():
                        try:
                            value = option.value(option.flags[-1], text)
                        except BadOption:
                            continue
                        if option.kind and option.kind.choices and option.name != "priority":
                            self.assertIn(value, option.kind.choices, f"{tool.name} {command.name}")

    def test_every_value_becomes_a_request_or_a_refusal(self) -> None:
        for tool, command in requests():
            words = [
                each.choices[0] if each.choices else "1" for each in command.words if each.least
            ]
            for index, option in enumerate(all_options(command)):
                # Each option has a fifth of the texts, to be done in seconds.
                for text in NONSENSE[index % 5 :: 5] if option.kind else ():
                    given = [option.flags[-1], text, "--submit", "--", *words]
                    code = Terminal().run(tool, command.name, *given)
                    self.assertIn(code, (0, 1, 2, 13), f"{tool.name} {command.name} {given}")

    def test_every_word_becomes_a_request_or_a_refusal(self) -> None:
        for tool, command in requests():
            for text in NONSENSE:
                words = [text for _ in command.words]
                code = Terminal().run(tool, command.name, "--submit", "--", *words)
                self.assertIn(code, (0, 1, 2, 13), f"{tool.name} {command.name} {words}")


class RefusalTests(SynchronousTestCase):
    def refused(self, tool: Tool, *words: str, terminal: Terminal | None = None) -> str:
        terminal = terminal or Terminal()
        self.assertIn(terminal.run(tool, *words), (1, 2), words)
        return terminal.err

    def test_numbers_have_bounds_that_the_refusal_names(self) -> None:
        for tool, *words, bounds in (
            (GNT_CLUSTER, "command", "--node-port", "99999", "true", "from 1 to 65535"),
            (GNT_CLUSTER, "history", "--last", "9" * 23, "from 1 to"),
            (GNT_DEBUG, "locks", "--interval=-1", "from 0 to 86400"),
            (GNT_DEBUG, "locks", "--interval=nan", "must be a number"),
            (GNT_DEBUG, "submit-job", "--op-repeat", "0", "f", "from 1 to"),
            (GNT_CLUSTER, "epo", "--power-delay", "1e9", "node1", "from 0 to 86400"),
        ):
            self.assertIn(bounds, self.refused(tool, *words))

    def test_a_choice_is_one_of_all_its_words(self) -> None:
        for text in ("", "46", "5"):
            told = self.refused(GNT_CLUSTER, "init", f"--primary-ip-version={text}", "c.example")
            self.assertIn("must be one of 4, 6", told)

    def test_what_is_to_be_an_address_is_one(self) -> None:
        for text in ("", "x", "192.0.2", "a" * 300, "../etc", "192.0.2.1/24"):
            for tool, *words in (
                (GNT_NODE, "add", "--primary-ip", text, "node2"),
                (GNT_CLUSTER, "init", "--master-address", text, "c.example"),
            ):
                self.assertIn("must be an address such as 192.0.2.1", self.refused(tool, *words))

    def test_a_list_without_fields_is_refused(self) -> None:
        self.assertIn("give at least one field", self.refused(GNT_INSTANCE, "list", "-o", ","))

    def test_a_spec_without_a_value_is_refused(self) -> None:
        for text in ("memory-size", "-memory-size", "no_memory-size"):
            told = self.refused(GNT_CLUSTER, "modify", f"--ipolicy-std-specs={text}")
            self.assertIn("memory-size needs a value", told)

    def test_a_name_that_is_no_host_name_is_refused_before_anything_is_waited_for(self) -> None:
        for name in ("", "a..b", "../../etc", "a" * 300 + ".x/"):
            told = self.refused(GNT_NODE, "add", "--primary-ip", "192.0.2.9", name)
            self.assertIn("must be letters, digits, dashes", told)
        self.assertIn("stands for the address 1.0.0.5", self.refused(GNT_NODE, "add", "1.5"))

    def test_an_unknown_node_cannot_be_added_again(self) -> None:
        terminal = Terminal({Query: answer({"pip": "text"})})
        told = self.refused(GNT_NODE, "add", "--readd", "node9", terminal=terminal)
        self.assertIn("unknown node node9; to add it as a new node", told)
