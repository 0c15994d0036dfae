# SPDX-License-Identifier: BSD-2-Clause
"""Every kind of object with tags has the same three commands."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Command, Tool
from ganeti.cli.tags import tag_commands
from ganeti.luxi.methods import QueryTags
from ganeti.opcodes.tags import AddTags, RemoveTags, TagKind
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal


class CommandTests(SynchronousTestCase):
    def command(self, name: str, kind: str = "cluster", word: str = "") -> Command:
        [found] = [each for each in tag_commands(kind, word) if each.name == name]
        return found

    def test_those_of_an_object_take_its_name_first(self) -> None:
        usage = self.command("add-tags", "node", "node").usage("gnt-node")
        self.assertEqual(usage, "gnt-node add-tags [options] NODE [TAG…]")
        usage = self.command("list-tags", "node", "node").usage("gnt-node")
        self.assertEqual(usage, "gnt-node list-tags [options] NODE")

    def test_those_of_the_cluster_take_no_name(self) -> None:
        usage = self.command("remove-tags").usage("gnt-cluster")
        self.assertEqual(usage, "gnt-cluster remove-tags [options] [TAG…]")

    def test_their_texts_name_the_kind_with_its_article(self) -> None:
        for kind, word, text in (
            ("cluster", "", "List the tags of the cluster."),
            ("nodegroup", "group", "List the tags of a group."),
            ("instance", "instance", "List the tags of an instance."),
        ):
            self.assertEqual(self.command("list-tags", kind, word).doc, text)

    def test_changes_have_the_options_of_jobs(self) -> None:
        submits = {each.name: each.submits for each in tag_commands("cluster")}
        self.assertEqual(submits, {"list-tags": False, "add-tags": True, "remove-tags": True})


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tool = Tool("gnt-node", "", tag_commands("node", "node"))
        self.terminal = Terminal({QueryTags: ["a"]})

    def test_each_command_acts_on_its_kind(self) -> None:
        for words, opcode in (
            (("add-tags", "node1", "a"), AddTags),
            (("remove-tags", "node1", "a"), RemoveTags),
        ):
            self.assertEqual(self.terminal.run(self.tool, *words), 0, self.terminal.err)
            wanted = opcode(kind=TagKind.NODE, name="node1", tags=("a",))
            self.assertEqual(replace(self.terminal.job(), reason=()), wanted)
        self.assertEqual(self.terminal.run(self.tool, "list-tags", "node1"), 0)
        self.assertEqual(self.terminal.out, "a\n")
