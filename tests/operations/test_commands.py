# SPDX-License-Identifier: BSD-2-Clause
"""Restricted commands run on several nodes, each of which answers for itself."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.locking.names import node_lock, request
from ganeti.node.restricted_commands import REFUSAL_DELAY
from ganeti.opcodes.node import RunRestrictedCommand
from ganeti.operations.node.commands import OPERATION
from ganeti.operations.operation import NodeAnswers
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.testing.processes import Script
from tests.operations.whole import WholeCluster


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        nodes = [a_node("node1"), a_node("node2"), a_node("node3", offline=True)]
        self.whole = WholeCluster(a_cluster(nodes=nodes))
        host = self.whole.hosts["node1"]
        folder = host.paths.restricted_commands
        host.disk.add_folder(folder, 0o755)
        host.disk.put(f"{folder}/look", b"#!/bin/sh\n", 0o755, 0.0)
        host.processes.programs[f"{folder}/look"] = Script(out=b"fine\n")

    def do(self, *nodes: str, **fields: Any) -> Any:
        fields = {"command": "look", "nodes": list(nodes), **fields}
        work = Deferred.fromCoroutine(self.whole.do("OP_RESTRICTED_COMMAND", **fields))
        self.whole.clock.advance(REFUSAL_DELAY)
        return work

    def test_each_node_has_its_own_answer_in_the_order_of_the_request(self) -> None:
        offline, refused, fine = self.successResultOf(self.do("node3", "node2", "node1"))
        self.assertEqual(fine, [True, "fine\n"])
        self.assertEqual(offline, [False, "node node3 is offline"])
        self.assertEqual(refused[0], False)
        self.assertIn("look is not a restricted command of this node", refused[1])

    def test_without_nodes_it_is_refused(self) -> None:
        self.failureResultOf(self.do(), Invalid)

    def test_jobs_are_waited_for_only_if_that_is_wanted(self) -> None:
        for wanted, locks in (
            (False, {}),
            (True, request(exclusive=[node_lock(uuid_of("node", "node1"))])),
        ):
            op = RunRestrictedCommand(nodes=("node1",), command="look", use_locking=wanted)
            self.assertEqual(OPERATION.plan(op, self.whole.state, NodeAnswers()).locks, locks)
