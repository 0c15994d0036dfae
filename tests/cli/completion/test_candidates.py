# SPDX-License-Identifier: BSD-2-Clause
"""What may be typed next follows from the declarations."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import ganeti.cli
from ganeti.cli.command import Tool
from ganeti.cli.command_options import all_options
from ganeti.cli.completion.candidates import Completion, FileNames, complete
from ganeti.cli.gnt_backup.commands import GNT_BACKUP
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_node.commands import GNT_NODE


class KindNames:
    """NameFinder that tell what was asked for."""

    def find_names(self, kind: str, prefix: str, owner: str = "", of: str = "") -> list[str]:
        told = "/".join(filter(None, (kind, of, owner)))
        return [prefix + told]


def tools() -> Iterator[Tool]:
    """All tools of the tree."""
    for path in sorted(Path(ganeti.cli.__file__).parent.glob("gnt_*")):
        module = importlib.import_module(f"ganeti.cli.{path.name}.commands")
        yield getattr(module, path.name.upper())


def completion(tool: Tool, line: str) -> Completion:
    *words, current = line.split(" ")
    return complete(tool, words, current, KindNames())


def words(tool: Tool, line: str) -> list[str]:
    return [each.word for each in completion(tool, line).candidates]


class CommandTests(SynchronousTestCase):
    def test_commands_and_their_aliases_are_completed(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "st"), ["stop", "startup", "start"])

    def test_commands_of_two_words_are_completed_one_by_one(self) -> None:
        self.assertEqual(words(GNT_BACKUP, "repo"), ["repository"])
        self.assertEqual(words(GNT_BACKUP, "repository "), ["add", "list", "remove", "show-key"])
        self.assertEqual(words(GNT_BACKUP, "repository rem"), ["remove"])

    def test_an_unknown_command_has_no_candidates(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "rhubarb "), [])
        self.assertEqual(words(GNT_INSTANCE, "rhubarb pie "), [])

    def test_every_command_completes_all_its_options(self) -> None:
        for tool in tools():
            for command in tool.commands:
                if command.unsupported:
                    self.assertEqual(words(tool, f"{command.name} -"), [])
                    continue
                flags = {word.rstrip("=") for word in words(tool, f"{command.name} -")}
                for option in all_options(command):
                    offered = set(option.flags) <= flags
                    self.assertEqual(offered, not option.unsupported, (tool.name, option))

    def test_every_option_that_may_be_listed_has_values(self) -> None:
        for tool in tools():
            for command in tool.commands:
                for option in all_options(command):
                    kind = option.kind
                    if kind is None or option.unsupported or command.unsupported:
                        continue
                    found = completion(tool, f"{command.name} {option.flags[-1]} ")
                    if kind.choices or kind.items or kind.keys or kind.name == "bool":
                        self.assertTrue(found.candidates, (command.name, option))


class OptionTests(SynchronousTestCase):
    def test_values_follow_either_form_of_an_option(self) -> None:
        self.assertEqual(words(GNT_NODE, "modify --offline="), ["--offline=yes", "--offline=no"])
        self.assertEqual(words(GNT_NODE, "modify --offline n"), ["no"])
        self.assertEqual(words(GNT_NODE, "modify -O "), ["yes", "no"])
        self.assertEqual(words(GNT_NODE, "modify -Oy"), ["-Oyes"])

    def test_a_long_option_may_be_abbreviated(self) -> None:
        self.assertEqual(words(GNT_NODE, "modify --offl=y"), ["--offl=yes"])
        self.assertEqual(words(GNT_NODE, "modify --n=y"), [])

    def test_an_option_is_not_offered_twice_unless_it_may_be_repeated(self) -> None:
        self.assertIn("--force", words(GNT_INSTANCE, "remove --fo"))
        self.assertEqual(words(GNT_INSTANCE, "remove -f --fo"), [])
        self.assertIn("--disk=", words(GNT_INSTANCE, "add --disk 0:size=1 --disk"))

    def test_behind_two_dashes_there_are_no_options(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "remove -- -"), ["-instance"])

    def test_options_end_where_a_command_line_is_passed_on(self) -> None:
        self.assertEqual(words(GNT_CLUSTER, "command ls --node"), ["--nodecommand"])

    def test_letters_may_be_joined(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "replace-disks -pn no"), ["nonode"])

    def test_an_option_that_waits_for_files_asks_the_shell(self) -> None:
        found = completion(GNT_CLUSTER, "add-tags --from=")
        self.assertEqual((found.paths, [*found.candidates]), (FileNames.FILES, []))
        found = completion(GNT_BACKUP, "repository add --path ")
        self.assertEqual(found.paths, FileNames.FOLDERS)

    def test_names_of_objects_are_asked_for(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "migrate -n "), ["node"])
        self.assertEqual(words(GNT_INSTANCE, "add --node=a:b"), ["--node=a:bnode"])
        self.assertEqual(words(GNT_INSTANCE, "add -o "), ["os[+variant]"])
        self.assertEqual(words(GNT_INSTANCE, "change-group --to g"), ["ggroup"])

    def test_a_list_is_completed_item_by_item(self) -> None:
        found = words(GNT_CLUSTER, "modify --enabled-disk-templates=plain,dr")
        self.assertEqual(found, ["--enabled-disk-templates=plain,drbd"])

    def test_fields_are_those_of_what_is_listed(self) -> None:
        self.assertIn("field/instance", words(GNT_INSTANCE, "list -o "))
        self.assertIn("json", words(GNT_INSTANCE, "list -o "))
        self.assertEqual(words(GNT_INSTANCE, "list -o +name,st"), ["+name,stfield/instance"])
        self.assertEqual(words(GNT_INSTANCE, "list -o +"), ["+field/instance"])
        self.assertEqual(words(GNT_NODE, "list-fields "), ["field/node"])


class ArgumentTests(SynchronousTestCase):
    def test_each_position_has_its_kind(self) -> None:
        self.assertEqual(words(GNT_NODE, "power "), ["on", "off", "cycle", "status"])
        self.assertEqual(words(GNT_NODE, "power on "), ["node"])
        self.assertEqual(words(GNT_NODE, "power on node1 "), ["node"])
        self.assertEqual(words(GNT_CLUSTER, "epo "), ["node", "group"])
        self.assertEqual(completion(GNT_CLUSTER, "copyfile ").paths, FileNames.FILES)

    def test_without_further_arguments_options_are_offered(self) -> None:
        self.assertIn("--static", words(GNT_INSTANCE, "info --s"))
        self.assertIn("--dry-run", words(GNT_INSTANCE, "rename a b "))

    def test_a_new_object_has_no_name_yet(self) -> None:
        self.assertNotIn("instance", words(GNT_INSTANCE, "add "))
        self.assertNotIn("snapshot/web1", words(GNT_INSTANCE, "snapshot create web1 "))

    def test_objects_of_another_one_are_asked_for_with_it(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "snapshot remove web1 "), ["snapshot/web1"])
        self.assertEqual(words(GNT_BACKUP, "verify store "), ["backup-id/store"])

    def test_an_option_may_change_the_kind_of_the_arguments(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "start "), ["instance"])
        self.assertEqual(words(GNT_INSTANCE, "start --primary "), ["node"])
        self.assertEqual(words(GNT_INSTANCE, "start --node-tags "), ["tag/node"])

    def test_tags_are_those_of_the_kind_or_of_the_object(self) -> None:
        self.assertEqual(words(GNT_INSTANCE, "add-tags web1 "), ["tag/instance"])
        self.assertEqual(words(GNT_INSTANCE, "remove-tags web1 "), ["tag/instance/web1"])
        self.assertEqual(words(GNT_CLUSTER, "remove-tags "), ["tag/cluster"])

    def test_a_command_that_is_not_supported_has_no_candidates(self) -> None:
        self.assertEqual(words(GNT_DEBUG, "wconfd "), [])
