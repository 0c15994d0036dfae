# SPDX-License-Identifier: BSD-2-Clause
"""The last state of the nodes is one object until something new was reported."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.query.fields import FieldStatus
from ganeti.rpc.node import NodeInfo
from ganeti.testing.builders import a_node, uuid_of
from ganeti.views.node_status import NodeStatuses, StatusCache
from tests.views.moments import Told, some_facts

NODE1, NODE2 = (uuid_of("node", name) for name in ("node1", "node2"))


class CacheTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told = Told({"node1": some_facts("web1"), "node2": some_facts()})
        self.cache = StatusCache(self.told)
        self.nodes = {node.uuid: node for node in (a_node("node1"), a_node("node2"))}

    def test_it_stays_the_same_while_nothing_is_new(self) -> None:
        first = self.cache.now(self.nodes)
        self.assertIs(self.cache.now(self.nodes), first)

    def test_a_new_report_is_another_state(self) -> None:
        first = self.cache.now(self.nodes)
        news: NodeInfo = some_facts("web1")
        self.told.known[NODE1] = news
        second = self.cache.now(self.nodes)
        self.assertIsNot(second, first)
        self.assertIs(second.status_of(NODE1), news)

    def test_a_node_more_or_less_is_another_state(self) -> None:
        first = self.cache.now(self.nodes)
        del self.nodes[NODE2]
        second = self.cache.now(self.nodes)
        self.assertIsNot(second, first)
        self.assertIs(second.status_of(NODE2), FieldStatus.NODATA)

    def test_why_a_node_says_nothing_is_known(self) -> None:
        del self.told.known[NODE2]
        self.nodes[NODE1] = a_node("node1", offline=True)
        found = self.cache.now(self.nodes)
        self.assertIs(found.status_of(NODE1), FieldStatus.OFFLINE)
        self.assertIs(found.status_of(NODE2), FieldStatus.NODATA)


class GuestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.statuses = NodeStatuses(
            {
                NODE1: some_facts("web1", "both"),
                NODE2: some_facts("both"),
                "n3": FieldStatus.NODATA,
            }
        )

    def test_a_guest_has_all_nodes_that_run_it(self) -> None:
        self.assertEqual(self.statuses.homes, {"web1": (NODE1,), "both": (NODE1, NODE2)})

    def test_whether_one_runs_is_known_before_and_after_all_are_listed(self) -> None:
        for _ in range(2):
            found = [self.statuses.runs(name) for name in ("web1", "both", "db1")]
            self.assertEqual(found, [True, True, False])
            self.assertTrue(self.statuses.homes)
