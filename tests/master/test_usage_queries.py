# SPDX-License-Identifier: BSD-2-Clause
"""What was used is asked of the node that has seen it, and told to those who may know."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import AccessDenied, Invalid
from ganeti.luxi.methods import QueryUsage
from ganeti.master.usage_queries import without_predecessor
from ganeti.rpc.node import Usage
from tests.master.access.case import AccessCase, by_password


class UsageTests(AccessCase):
    def test_everybody_with_an_unlimited_role_sees_all(self) -> None:
        node = self.master.config.state().master.name
        for kind, name in (("node", node), ("instance", "web1"), ("instance", "db1")):
            told = self.answer(by_password("vic"), QueryUsage(kind=kind, name=name))
            self.assertEqual(told.keys(), {"step", "end", "series"})

    def test_a_limited_role_sees_its_instances_and_no_nodes(self) -> None:
        ann, node = by_password("ann"), self.master.config.state().master.name
        self.answer(ann, QueryUsage(kind="instance", name="web1"))
        refused = self.refusal(ann, QueryUsage(kind="instance", name="db1"))
        missing = self.refusal(ann, QueryUsage(kind="instance", name="db9"))
        self.assertEqual(str(refused), str(missing).replace("db9", "db1"))
        self.assertIsInstance(self.refusal(ann, QueryUsage(kind="node", name=node)), AccessDenied)

    def test_other_kinds_are_refused(self) -> None:
        refused = self.refusal(by_password("vic"), QueryUsage(kind="group", name="default"))
        self.assertIsInstance(refused, Invalid)


class PredecessorTests(SynchronousTestCase):
    def test_an_instance_is_not_told_of_one_that_had_its_name_before(self) -> None:
        usage = Usage(step=10.0, end=1000.0, series={"cpu": (1.0, 2.0, 3.0)})
        for ctime, expected in (
            (0.0, (1.0, 2.0, 3.0)),
            (985.0, (2.0, 3.0)),
            (1000.0, (3.0,)),
            (1001.0, ()),
        ):
            told = without_predecessor(usage, ctime)
            self.assertEqual(told.series["cpu"], expected, ctime)
