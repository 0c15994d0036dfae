# SPDX-License-Identifier: BSD-2-Clause
"""Names of objects are asked of the master, as few as needed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.completion.live_names import MAX_NAMES, LiveNames, thin_out
from ganeti.cli.output import Fields
from ganeti.luxi.methods import (
    Query,
    QueryAccess,
    QueryBackups,
    QueryInstances,
    QueryTags,
)
from ganeti.testing.builders import a_cluster
from ganeti.testing.master import BlockingMemoryMaster
from tests.cli.cluster_answers import answers_about


def names() -> LiveNames:
    state = a_cluster(nodes=["node1", "node2"], instances=["web1", "web2", "db1"])
    return LiveNames(BlockingMemoryMaster(answers_about(state)).ask)


def one_answer(kind: type[Any], answer: Any) -> tuple[LiveNames, BlockingMemoryMaster]:
    master = BlockingMemoryMaster({kind: answer})
    return LiveNames(master.ask), master


def rows(*values: object) -> Fields:
    return {"fields": [{"name": "x"}], "data": [[[0, value]] for value in values]}


class LiveNamesTests(SynchronousTestCase):
    def test_names_that_begin_so_are_found(self) -> None:
        self.assertEqual(names().find_names("instance", "we"), ["web1", "web2"])
        self.assertEqual(names().find_names("node", ""), ["node1", "node2"])

    def test_the_prefix_is_no_pattern(self) -> None:
        self.assertEqual(names().find_names("instance", "w.b"), [])
        self.assertEqual(names().find_names("instance", "(["), [])

    def test_the_master_selects(self) -> None:
        asked: list[Query] = []

        def answer(request: Query) -> Fields:
            asked.append(request)
            return {"fields": [{"name": "name"}], "data": []}

        found, _ = one_answer(Query, answer)
        found.find_names("instance", "we")
        self.assertEqual([each.qfilter for each in asked], [["=~", "name", "^we"]])

    def test_fields_are_those_of_a_kind(self) -> None:
        self.assertIn("pinst_cnt", names().find_names("field", "pinst", "node"))

    def test_an_unknown_kind_has_no_names(self) -> None:
        self.assertEqual(names().find_names("rhubarb", ""), [])

    def test_tags_of_an_object_of_a_kind_and_of_the_cluster(self) -> None:
        found, _ = one_answer(QueryTags, ["blue", "red"])
        self.assertEqual(found.find_names("tag", "", of="cluster"), ["blue", "red"])
        self.assertEqual(found.find_names("tag", "r", "group1", "group"), ["red"])
        answer = {"fields": [{"name": "tags"}], "data": [[[0, ["a", "b"]]], [[0, ["b"]]]]}
        found, _ = one_answer(Query, answer)
        self.assertEqual(found.find_names("tag", "", of="instance"), ["a", "b"])

    def test_jobs_are_numbers(self) -> None:
        found, _ = one_answer(Query, {"fields": [{"name": "id"}], "data": [[[0, 12]], [[0, 3]]]})
        self.assertEqual(found.find_names("job-id", "1"), ["12"])

    def test_operating_systems_have_variants(self) -> None:
        answer = {
            "fields": [{"name": "name"}, {"name": "variants"}],
            "data": [[[0, "image"], [0, ["small", "big"]]], [[0, "noop"], [0, []]]],
        }
        found, _ = one_answer(Query, answer)
        self.assertEqual(found.find_names("os[+variant]", ""), ["image+big", "image+small", "noop"])
        self.assertEqual(found.find_names("os", ""), ["image", "noop"])

    def test_snapshots_are_those_of_an_instance(self) -> None:
        found, _ = one_answer(QueryInstances, [[[{"name": "monday"}]]])
        self.assertEqual(found.find_names("snapshot", "", "web1"), ["monday"])

    def test_backups_are_those_of_a_repository_or_of_all(self) -> None:
        found, _ = one_answer(QueryBackups, [{"repository": "store", "id": "b1"}])
        self.assertEqual(found.find_names("backup-id", "", "store"), ["b1"])
        self.assertEqual(found.find_names("repository/id", ""), ["store/b1"])

    def test_users_have_names(self) -> None:
        found, _ = one_answer(QueryAccess, [{"name": "anna"}, {"name": "ben"}])
        self.assertEqual(found.find_names("user", "a"), ["anna"])


class ThinOutTests(SynchronousTestCase):
    def test_of_too_many_names_the_common_beginning_stays(self) -> None:
        many = sorted(f"web{number}" for number in range(3 * MAX_NAMES))
        found = thin_out(many)
        self.assertEqual(len(found), MAX_NAMES)
        self.assertEqual((found[0], found[-1]), (many[0], many[-1]))
        self.assertEqual(found, sorted(set(found)))
