# SPDX-License-Identifier: BSD-2-Clause
"""Definitions of nodes are grouped, and those that count are the first of each node."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from ganeti.views.os_definitions import (
    common,
    effective_definitions,
    group_by_name,
    is_valid_on_all,
)


@dataclass(frozen=True)
class Definition:
    """A definition on a node, as ``IDefinition``."""

    name: str
    path: str = "/srv/os"
    valid: bool = True
    diagnosis: str = ""
    parameters: tuple[tuple[str, str], ...] = ()


GOOD, BAD = Definition("debian"), Definition("debian", "/opt/os", valid=False)


class GroupTests(SynchronousTestCase):
    def test_names_and_nodes_are_in_natural_order(self) -> None:
        said = {
            "node10": [Definition("os10")],
            "node2": [Definition("os2"), Definition("os10")],
        }
        found = group_by_name(said)
        self.assertEqual(list(found), ["os2", "os10"])
        self.assertEqual(list(found["os10"]), ["node2", "node10"])

    def test_a_node_without_the_definition_has_an_empty_entry(self) -> None:
        found = group_by_name({"node1": [GOOD], "node2": []})
        self.assertEqual(found, {"debian": {"node1": [GOOD], "node2": []}})

    def test_a_node_that_did_not_answer_has_none(self) -> None:
        found = group_by_name({"node1": [GOOD], "node2": None})
        self.assertEqual(found, {"debian": {"node1": [GOOD]}})
        self.assertEqual(group_by_name({"node1": None}), {})

    def test_several_of_a_name_stay_in_their_order(self) -> None:
        found = group_by_name({"node1": iter([BAD, Definition("x"), GOOD])})
        self.assertEqual(found["debian"], {"node1": [BAD, GOOD]})


class EffectiveTests(SynchronousTestCase):
    def test_the_first_of_each_node_counts(self) -> None:
        nodes = {"node1": [GOOD, BAD], "node2": [], "node3": [BAD, GOOD]}
        self.assertEqual(effective_definitions(nodes), [GOOD, BAD])

    def test_it_is_valid_if_the_first_of_every_node_is(self) -> None:
        for nodes, valid in (
            ({"node1": [GOOD, BAD], "node2": [GOOD]}, True),
            ({"node1": [BAD, GOOD]}, False),
            ({"node1": [GOOD], "node2": []}, False),
            ({}, False),
        ):
            self.assertEqual(is_valid_on_all(nodes), valid, nodes)


class CommonTests(SynchronousTestCase):
    def of(self, *texts: str) -> list[str]:
        found = [Definition(text) for text in texts]
        return common(found, lambda each: each.name)

    def test_what_all_have_is_in_the_order_of_the_first(self) -> None:
        self.assertEqual(self.of("cab", "abc", "xbca"), ["c", "a", "b"])
        self.assertEqual(self.of("cab", "b", "bc"), ["b"])

    def test_one_alone_has_everything_in_common_and_none_nothing(self) -> None:
        self.assertEqual(self.of("cab"), ["c", "a", "b"])
        self.assertEqual(self.of(), [])
