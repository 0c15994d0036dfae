# SPDX-License-Identifier: BSD-2-Clause
"""The options of ``gnt-cluster notify`` set what they say, and none takes a secret itself."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Command
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.notifications import COMMANDS
from ganeti.cli.options import BadOption, parse


def command(name: str) -> Command:
    [found] = [each for each in COMMANDS if each.name == f"notify {name}"]
    return found


def values(name: str, *words: str) -> dict[str, Any]:
    return parse(command(name).options, words)[0]


class OptionTests(SynchronousTestCase):
    def test_events_are_selected_by_options_that_can_be_repeated(self) -> None:
        words = ("--kind", "job", "--kind", "node", "--name", "web1", "--tag", "a")
        wanted = {"kinds": ["job", "node"], "names": ["web1"], "tags": ["a"]}
        for name in ("add", "modify"):
            self.assertEqual(values(name, *words), wanted)

    def test_the_last_of_two_that_contradict_each_other_counts(self) -> None:
        self.assertEqual(values("modify", "--disable", "--enable"), {"enabled": True})
        self.assertEqual(values("modify", "--enable", "--disable"), {"enabled": False})

    def test_a_new_one_may_begin_disabled(self) -> None:
        self.assertEqual(values("add", "--disabled"), {"enabled": False})
        self.assertEqual(values("add"), {})

    def test_a_secret_comes_from_a_file(self) -> None:
        for name in ("add", "modify"):
            self.assertEqual(values(name, "--secret-file", "-"), {"secret_file": "-"})
            with self.assertRaisesRegex(BadOption, "--secret"):
                values(name, "--secret-text", "x")


class CommandTests(SynchronousTestCase):
    def test_each_belongs_to_the_tool(self) -> None:
        for each in COMMANDS:
            for name in (each.name, *each.aliases):
                self.assertIs(GNT_CLUSTER.command(name), each)

    def test_a_removal_names_what_is_removed(self) -> None:
        asked = command("remove").confirm.format(notification_name="chat")
        self.assertEqual(asked, "Remove notification chat?")

    def test_a_new_one_has_a_name_and_a_receiver(self) -> None:
        usage = command("add").usage("gnt-cluster")
        self.assertEqual(usage, "gnt-cluster notify add [options] NOTIFICATION URL")
