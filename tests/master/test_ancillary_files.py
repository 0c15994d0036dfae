# SPDX-License-Identifier: BSD-2-Clause
"""Master candidates have the files that a master needs."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import set_role
from ganeti.config.state import ClusterState
from ganeti.master.ancillary_files import LOOK, AncillaryFiles
from ganeti.model.node import NodeRole
from ganeti.node.files import Files
from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths
from ganeti.rpc.node import UploadFile
from ganeti.rpc.server import CallHandlers
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.nodes import MemoryNodes

USERS = f"{Paths().data}/rapi/users"


class SharingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.files = [AncillaryFile(f"{Paths().data}/ca.key", b"key", 0o400)]
        self.files.append(AncillaryFile(USERS, b"jo", 0o640))
        members = [a_node("node1"), a_node("node2"), a_node("node3", master_candidate=False)]
        self.state = a_cluster(nodes=members)
        self.network = MemoryNodes(clock=self.clock)
        self.disks = {node.name: MemoryDisk() for node in self.state.nodes.values()}
        for name, disk in self.disks.items():
            answers = CallHandlers(lambda: 0)
            answers.to(UploadFile, Files(MemoryFiles(disk), Paths(), lambda: True).upload)
            self.network.add_node(name, answers)
        self.sharing = AncillaryFiles(self.network, lambda: self.state, self, self.clock)
        self.sharing.schedule_upload()
        self.clock.advance(0)
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.sharing.stop)

    async def read(self) -> Sequence[AncillaryFile]:
        return tuple(self.files)

    def has(self, node: str) -> dict[str, bytes]:
        return dict(self.disks[node].contents())

    def become(self, role: NodeRole) -> None:
        change = set_role(self.state.node("node3"), role, "ab" * 32)
        after: ClusterState = change(self.state)
        self.state, edits = after.settled(), after.edits
        self.sharing.config_changed(self.state, edits)
        self.clock.advance(0)

    def test_candidates_other_than_the_master_get_them_all(self) -> None:
        wanted = {file.path: file.content for file in self.files}
        self.assertEqual([self.has(node) for node in ("node1", "node2", "node3")], [{}, wanted, {}])
        found = MemoryFiles(self.disks["node2"]).stat(f"{Paths().data}/ca.key")
        self.assertEqual(found and found.mode & 0o777, 0o400)

    def test_a_file_that_changes_is_given_again_and_alone(self) -> None:
        self.network.asked.clear()
        self.clock.advance(LOOK)
        self.assertEqual(self.network.asked, [])
        self.files[1] = AncillaryFile(USERS, b"jo write", 0o640)
        self.clock.advance(LOOK)
        self.assertEqual(self.has("node2")[USERS], b"jo write")
        self.assertEqual(len(self.network.asked), 1)

    def test_a_node_that_becomes_a_candidate_gets_them_at_once(self) -> None:
        self.become(NodeRole.CANDIDATE)
        self.assertEqual(self.has("node3"), self.has("node2"))

    def test_what_it_got_before_it_lost_the_role_does_not_count_when_it_is_one_again(self) -> None:
        self.network.slow("node3", 5.0)
        self.become(NodeRole.CANDIDATE)
        self.become(NodeRole.REGULAR)
        self.clock.pump([1.0] * 8)
        # As the node itself does when it loses the role.
        self.disks["node3"].pop_file(f"{Paths().data}/ca.key")
        self.become(NodeRole.CANDIDATE)
        self.clock.pump([1.0] * 60)
        self.assertEqual(self.has("node3"), self.has("node2"))

    def test_a_node_that_was_away_gets_them_later(self) -> None:
        self.network.vanish("node3")
        self.become(NodeRole.CANDIDATE)
        self.assertEqual(self.has("node3"), {})
        self.network.behave("node3")
        self.clock.advance(LOOK)
        self.assertEqual(self.has("node3"), self.has("node2"))

    def test_an_upload_at_once_says_whether_all_candidates_have_all_files(self) -> None:
        self.files[0] = AncillaryFile(f"{Paths().data}/ca.key", b"another", 0o400)
        self.network.vanish("node2")
        self.assertFalse(self.successResultOf(self.sharing.upload_now()))
        self.network.behave("node2")
        self.assertTrue(self.successResultOf(self.sharing.upload_now()))
        self.assertEqual(self.has("node2")[f"{Paths().data}/ca.key"], b"another")
