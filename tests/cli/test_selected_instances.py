# SPDX-License-Identifier: BSD-2-Clause
"""Instances are selected by name, node or tag, and several are acted on after confirmation."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.options import parse
from ganeti.cli.selected_instances import instances
from ganeti.cli.selection import SELECTION_OPTIONS
from ganeti.cli.session import FAILURE, NOT_CONFIRMED, ExitTool
from ganeti.luxi.methods import Query
from ganeti.model.disk import Template
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, arguments


def a_terminal(*answers: str) -> Terminal:
    """One at a cluster with a mirrored instance and two others."""
    mirrored = a_disk("disk1", Template.DRBD, nodes=("node1", "node2.example.com"))
    state = a_cluster(
        nodes=[
            a_node("node1", tags=("old",)),
            a_node("node2.example.com", tags=("new",)),
            a_node("node3"),
        ],
        instances=[
            an_instance("db1", disks=[mirrored], tags=("a", "b")),
            an_instance("web1", tags=("b",)),
            an_instance("web2", node="node2.example.com"),
        ],
    )
    return Terminal(answers_about(state), answers=list(answers))


class Selecting(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = a_terminal()

    def selected(self, *names: str, question: str = "", **values: Any) -> list[str]:
        given = arguments("shutdown", names=list(names), **values)
        return self.terminal.call(lambda session: instances(session, given, question))

    def refusal(self, *names: str, question: str = "", **values: Any) -> ExitTool:
        error: ExitTool = self.assertRaises(
            ExitTool, self.selected, *names, question=question, **values
        )
        return error


class SelectionTests(Selecting):
    def by(self, mode: str, *words: str) -> list[str]:
        return self.selected(*words, mode=mode, force_multiple=True)

    def test_names_are_taken_as_they_are_each_once_in_their_order(self) -> None:
        found = self.selected("web1", "db1", "web1", force_multiple=True)
        self.assertEqual(found, ["web1", "db1"])
        self.assertEqual(self.terminal.asked(), [])

    def test_all_are_those_of_the_cluster(self) -> None:
        self.assertEqual(self.by("cluster"), ["db1", "web1", "web2"])

    def test_one_of_several_tags_is_enough(self) -> None:
        self.assertEqual(self.by("instances-by-tags", "a"), ["db1"])
        self.assertEqual(self.by("instances-by-tags", "a", "b", "c"), ["db1", "web1"])

    def test_nodes_stand_for_what_they_are_primary_node_of(self) -> None:
        self.assertEqual(self.by("nodes-pri", "node1"), ["db1", "web1"])

    def test_nodes_stand_for_what_they_have_a_second_copy_of(self) -> None:
        self.assertEqual(self.by("nodes-sec", "node1", "node2"), ["db1"])
        self.assertEqual(self.by("nodes", "node2"), ["db1", "web2"])

    def test_an_instance_on_both_of_its_nodes_is_selected_once(self) -> None:
        self.assertEqual(self.by("nodes", "node1", "node2"), ["db1", "web1", "web2"])

    def test_a_node_may_be_named_without_its_domain(self) -> None:
        self.assertEqual(self.by("nodes-pri", "node2"), ["web2"])
        self.assertEqual(self.by("nodes-pri", "node2.example.com"), ["web2"])

    def test_tags_stand_for_nodes(self) -> None:
        self.assertEqual(self.by("nodes-pri-by-tags", "new", "other"), ["web2"])
        self.assertEqual(self.by("nodes-by-tags", "old"), ["db1", "web1"])

    def test_a_node_that_there_is_not_is_refused(self) -> None:
        for name in ("node9", "node"):
            error = self.refusal(name, mode="nodes", force_multiple=True)
            self.assertEqual(str(error), f"unknown node {name}; see gnt-node list")


class RefusalTests(Selecting):
    def test_all_and_names_contradict_each_other(self) -> None:
        error = self.refusal("web1", mode="cluster")
        self.assertEqual(str(error), "--all selects every instance; omit the names")

    def test_nothing_is_not_all(self) -> None:
        for mode in ("instances", "nodes", "instances-by-tags"):
            error = self.refusal(mode=mode)
            self.assertEqual(str(error), "no instances to shutdown; give names or --all")
        self.assertEqual(self.terminal.asked(), [])

    def test_a_selection_that_matches_nothing_is_a_failure(self) -> None:
        error = self.refusal("colour", mode="instances-by-tags")
        self.assertEqual(str(error), "no matching instances to shutdown")
        self.assertEqual(error.code, FAILURE)


class ConfirmationTests(Selecting):
    def test_a_single_named_one_needs_none(self) -> None:
        self.assertEqual(self.selected("web1"), ["web1"])
        self.assertEqual(self.terminal.out, "")

    def test_several_are_listed_before_the_question(self) -> None:
        self.terminal = a_terminal("yes")
        self.assertEqual(self.selected("web1", "db1"), ["web1", "db1"])
        self.assertEqual(self.terminal.out, "  web1\n  db1\n")
        [question] = self.terminal.questions
        self.assertTrue(question.startswith("Shutdown these 2 instances? "))

    def test_a_single_one_that_was_not_named_itself_needs_one(self) -> None:
        self.terminal = a_terminal("no")
        error = self.refusal("a", mode="instances-by-tags")
        self.assertEqual(str(error), "not confirmed; nothing was changed")
        self.assertEqual(self.terminal.questions, ["Shutdown db1? y[es]/[n]o: "])
        self.assertEqual(self.terminal.out, "")
        self.assertEqual([type(each) for each in self.terminal.asked()], [Query])

    def test_what_destroys_needs_one_for_a_single_one_too(self) -> None:
        self.terminal = a_terminal("no")
        self.refusal("web1", question="All data is lost.")
        [question] = self.terminal.questions
        self.assertTrue(question.startswith("Shutdown web1? All data is lost. "))

    def test_without_a_terminal_the_option_is_named(self) -> None:
        self.terminal.answers = None
        for names, question, option in (
            (("web1",), "All data is lost.", "--force"),
            (("web1", "db1"), "All data is lost.", "--force-multiple"),
            (("web1", "db1"), "", "--force-multiple"),
        ):
            error = self.refusal(*names, question=question)
            self.assertEqual(error.code, NOT_CONFIRMED)
            self.assertIn(f"use {option} to skip", str(error))

    def test_it_is_given_beforehand_or_not_needed_for_a_plan(self) -> None:
        self.terminal.answers = None
        for option in ("force", "force_multiple", "plan"):
            self.selected("web1", "db1", question="Really?", **{option: True})


class OptionTests(SynchronousTestCase):
    def test_the_last_way_of_selection_counts(self) -> None:
        words = ["--node", "--pri-node-tags", "x"]
        wanted = {"mode": "nodes-pri-by-tags"}
        self.assertEqual(parse(SELECTION_OPTIONS, words), (wanted, ["x"]))

    def test_each_way_but_all_of_them_has_a_selection(self) -> None:
        modes = [each.sets for each in SELECTION_OPTIONS if each.name == "mode"]
        for mode in modes:
            names = [] if mode == "cluster" else ["none-such"]
            given = arguments("shutdown", names=names, mode=mode, force_multiple=True)
            terminal = a_terminal()
            try:
                terminal.call(partial(instances, arguments=given))
            except ExitTool as e:
                self.assertRegex(str(e), "^no matching|^unknown node")
        self.assertEqual(len(modes), len(set(modes)))
