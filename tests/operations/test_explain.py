# SPDX-License-Identifier: BSD-2-Clause
"""A plan is explained in sentences, and nothing is changed by that."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.locking.waiting import LockWaiter
from ganeti.model.disk import Template
from ganeti.opcodes.registry import OPCODES, read_opcode
from ganeti.operations.explain import _IRREVERSIBLE, Explanation, LockNeed
from ganeti.operations.perform import Performer
from ganeti.operations.registry import OPERATIONS
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from tests.operations.whole import WholeCluster


class ExplainTests(SynchronousTestCase):
    def setUp(self) -> None:
        disk = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
        state = a_cluster(
            nodes=["node1", "node2", a_node("node3", offline=True)],
            instances=[an_instance("web1", disks=[disk])],
        )
        self.whole = WholeCluster(state)
        self.before = self.whole.memory.config.state()
        self.performer = Performer(
            lambda: OPERATIONS,
            self.whole.memory.config,
            LockWaiter(Clock()),
            lambda configuration, progress: self.whole.tools,
        )

    def explain(self, op_id: str, **parameters: Any) -> Explanation:
        opcode = read_opcode({"OP_ID": op_id, **parameters})
        found: Explanation = self.successResultOf(self.performer.explain(opcode))
        return found

    def test_a_removal_says_what_is_lost_and_what_is_locked(self) -> None:
        found = self.explain("OP_INSTANCE_REMOVE", instance_name="web1")
        self.assertEqual(found.steps[-1], "Remove instance web1 from the configuration.")
        self.assertIn("disks of the instance are deleted", found.irreversible or "")
        self.assertIn(LockNeed("instance web1", "exclusive"), found.locks)
        self.assertEqual((found.asked, found.nodes), (("node1", "node2"), ("node1", "node2")))

    def test_nothing_is_changed(self) -> None:
        self.explain("OP_INSTANCE_REMOVE", instance_name="web1")
        self.explain("OP_INSTANCE_STARTUP", instance_name="web1")
        self.assertIs(self.whole.memory.config.state(), self.before)
        self.assertEqual(self.whole.guests["node1"].running(), {})

    def test_a_refusal_says_what_the_job_would_say(self) -> None:
        failing = self.performer.explain(
            read_opcode({"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1"})
        )
        self.assertIn("is not running", str(self.failureResultOf(failing, Refused).value))

    def test_a_failover_names_both_nodes(self) -> None:
        found = self.explain("OP_INSTANCE_FAILOVER", instance_name="web1", ignore_consistency=True)
        self.assertIn("Make node2 the primary node of instance web1.", found.steps)

    def test_tags_are_named(self) -> None:
        found = self.explain("OP_TAGS_SET", kind="instance", name="web1", tags=["blue"])
        self.assertEqual(found.steps, ("Add the tags blue (instance web1).",))
        self.assertIsNone(found.irreversible)

    def test_an_opcode_without_steps_of_its_own_says_what_it_is_declared_to_do(self) -> None:
        found = self.explain("OP_CLUSTER_REDIST_CONF")
        declared = (OPCODES["OP_CLUSTER_REDIST_CONF"].__doc__ or "").partition("\n")[0]
        self.assertEqual(found.steps, (declared,))

    def test_what_cannot_be_undone_is_said_of_opcodes_that_are_carried_out(self) -> None:
        self.assertLessEqual(_IRREVERSIBLE.keys(), OPERATIONS.keys())
