# SPDX-License-Identifier: BSD-2-Clause
"""All nodes get ssconf files again, and the master candidates the files with secrets."""

from __future__ import annotations

import base64

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Unreachable
from ganeti.locking.names import LockLevel, LockMode, all_of
from ganeti.opcodes.cluster import RedistributeConfig
from ganeti.operations.cluster.redistribute import distribute_files, other_candidates, plan, run
from ganeti.operations.operation import AncillaryFile, NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.node import UploadFile, WriteSsconf
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.tools import MemoryTools


class RedistributionTests(SynchronousTestCase):
    """node1 is the master, node2 a candidate, node3 neither; node4 and node5 are offline."""

    def setUp(self) -> None:
        nodes = [
            a_node("node1"),
            a_node("node2"),
            a_node("node3", master_candidate=False),
            a_node("node4", offline=True),
            a_node("node5", offline=True, master_candidate=True),
        ]
        self.state = a_cluster(nodes=nodes)
        self.memory = MemoryTools(self.state)
        self.memory.files = [
            AncillaryFile("/ca.key", b"a key", 0o600),
            AncillaryFile("/rapi.pem", b"a certificate", 0o640),
        ]

    def redistribute(self) -> list[str]:
        """Carry the operation out; return the job's log."""
        found = plan(RedistributeConfig(), self.state, NodeAnswers())
        self.successResultOf(run(found, self.memory.tools))
        return self.memory.progress.said

    def reached(self, kind: type[Call[object]]) -> list[str]:
        return sorted({node for node, _ in self.memory.nodes.calls(kind)})

    def test_online_nodes_get_ssconf_and_other_candidates_the_files(self) -> None:
        self.assertEqual(self.redistribute(), [])
        self.assertEqual(self.reached(WriteSsconf), ["node1", "node2", "node3"])
        self.assertEqual(self.reached(UploadFile), ["node2"])
        self.assertEqual([node.name for node in other_candidates(self.state)], ["node2"])

    def test_the_files_are_sent_as_they_are_on_the_master(self) -> None:
        self.redistribute()
        sent = {
            call.path: (base64.b64decode(call.content), call.mode)
            for _, call in self.memory.nodes.asked
            if isinstance(call, UploadFile)
        }
        expected = {"/ca.key": (b"a key", 0o600), "/rapi.pem": (b"a certificate", 0o640)}
        self.assertEqual(sent, expected)

    def test_all_nodes_are_locked_shared(self) -> None:
        found = plan(RedistributeConfig(), self.state, NodeAnswers())
        self.assertEqual(found.locks, {all_of(LockLevel.NODE): LockMode.SHARED})

    def test_a_node_that_fails_is_reported_and_does_not_stop_it(self) -> None:
        self.memory.nodes.gone = {"node3"}
        self.memory.nodes.answers[UploadFile] = Failed("the disk is full")
        expected = [
            "cannot update all files on node node3: node node3 is unreachable: connection refused",
            "cannot update all files on node node2: the disk is full",
        ]
        self.assertEqual(self.redistribute(), expected)

    def test_one_file_that_is_missing_is_a_failure_of_the_node(self) -> None:
        def answer(_: str, call: UploadFile) -> Failed | None:
            return Unreachable("node2", "gone") if call.path == "/ca.key" else None

        self.memory.nodes.answers[UploadFile] = answer
        candidates = [self.state.node("node2"), self.state.node("node1")]
        sending = distribute_files(candidates, self.memory.tools)
        self.assertEqual({*self.successResultOf(sending)}, {"node1", "node2"})
        self.assertEqual(len(self.memory.nodes.calls(UploadFile)), 4)
