# SPDX-License-Identifier: BSD-2-Clause
"""The parts of a node know what they need of each other and of their host."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.fake import FakeHypervisor
from ganeti.model.disk import Template
from ganeti.node.answers import register_handlers
from ganeti.node.assembly import Host, NodeParts, assemble_node
from ganeti.node.membership import HANDOVER_TIMEOUT
from ganeti.paths import Paths
from ganeti.rpc.call import Call
from ganeti.rpc.disks import CreateDisk
from ganeti.rpc.members import MemberFile, MemberRecords
from ganeti.rpc.node import LeaveCluster, RequestCertificate, StopMaster
from ganeti.rpc.quorum import DescribeVote, RequestVote
from ganeti.rpc.replicas import AppendFrames, DescribeReplica, ReplicaEnd
from ganeti.storage.interfaces import IVolumes
from ganeti.testing.builders import a_disk, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.memory_repositories import MemoryDiskReader, MemoryRepositories
from ganeti.testing.names import MemoryNames
from ganeti.testing.nodes import MemoryNodes
from ganeti.testing.processes import MemoryProcesses, MemoryStateFiles
from ganeti.testing.storage import MemoryVolumes
from ganeti.testing.streams import MemoryStreams

R = TypeVar("R")
PATHS = Paths("/node1")


async def no_peer(host: str, port: int) -> None:
    """Every peer can be reached."""


class AssemblyTests(SynchronousTestCase):
    """A node that takes itself for a candidate; ``master`` is the pid of its master daemon."""

    def setUp(self) -> None:
        self.clock, self.disk = Clock(), MemoryDisk()
        self.master, self.ended, self.started, self.term = 0, 0, 0, 3
        members = MemberRecords(revision=1, certificates={"node1": ("x",)}, candidates=("node1",))
        known = msgspec.json.encode(MemberFile(term=0, members=members))
        self.disk.add_folder(PATHS.data, 0o750)
        self.disk.put(PATHS.member_list, known, 0o600, 0.0)

    def assemble(self, volumes: dict[Template, IVolumes] | None = None, **over: Any) -> NodeParts:
        host = Host(
            **{
                "name": "node1",
                "paths": PATHS,
                "files": MemoryFiles(self.disk),
                "images": MemoryImages(),
                "processes": MemoryProcesses(self.clock, {}),
                "names": MemoryNames(),
                "streams": MemoryStreams(self.disk, self.clock),
                "hypervisors": {"fake": FakeHypervisor(MemoryStateFiles())},
                "clock": self.clock,
                "now": self.clock.seconds,
                "reach": no_peer,
                "stop": lambda: None,
                "lease_notes": MemoryStateFiles(),
                "address_records": MemoryStateFiles(),
                "uptime": self.clock.seconds,
                "boot_id": lambda: "boot",
                "repositories": MemoryRepositories(),
                "disk_reader": MemoryDiskReader(),
                "master_pid": lambda: self.master,
                "stop_master": self.stop_master,
                "start_master": self.start_master,
                **over,
            }
        )
        parts = assemble_node(host, volumes or {})
        answers = {"node1": register_handlers(parts)}
        self.nodes = MemoryNodes(answers, clock=self.clock, term=lambda: self.term)
        return parts

    async def stop_master(self) -> bool:
        self.ended, running, self.master = self.ended + 1, self.master, 0
        return bool(running)

    async def start_master(self) -> None:
        self.started += 1

    def ask(self, call: Call[R]) -> R:
        answer: R = self.successResultOf(self.nodes.ask(a_node("node1"), call))
        return answer

    def refusal(self, call: Call[Any]) -> str:
        return str(
            self.failureResultOf(self.nodes.ask(a_node("node1"), call), Failed, Refused).value
        )

    def test_drivers_that_are_given_replace_those_of_the_host(self) -> None:
        volumes = MemoryVolumes()
        self.assemble({Template.PLAIN: volumes})
        self.ask(CreateDisk(disk=a_disk("d", Template.PLAIN), owner="web1"))
        self.assertEqual(len(volumes.held), 1)

    def test_a_vote_tells_whether_a_master_daemon_runs_here(self) -> None:
        self.assemble()
        for pid in (0, 4711):
            self.master = pid
            self.assertEqual(self.ask(DescribeVote()).serves, pid)

    def test_the_copy_of_the_journal_is_not_written_while_a_master_daemon_owns_it(self) -> None:
        self.assemble()
        self.master = 4711
        append = AppendFrames(after=ReplicaEnd(position=0, digest="0" * 64), frames="")
        said = "a master daemon runs on this node and owns the journal"
        self.assertIn(said, self.refusal(append))
        self.master = 0
        self.assertEqual(self.ask(append).position, 0)

    def test_a_master_daemon_without_a_successor_is_started_again(self) -> None:
        self.assemble()
        self.ask(RequestVote(term=3, master="node1"))
        self.master = 4711
        self.assertTrue(self.ask(StopMaster()))
        self.clock.advance(HANDOVER_TIMEOUT)
        self.assertEqual((self.ended, self.started), (1, 1))

    def test_one_that_has_a_successor_is_not(self) -> None:
        self.assemble()
        self.ask(RequestVote(term=3, master="node1"))
        self.master = 4711
        self.ask(StopMaster())
        self.assertTrue(self.ask(RequestVote(term=4, master="node2", elected=True)).granted)
        self.clock.advance(HANDOVER_TIMEOUT)
        self.assertEqual(self.started, 0)

    def test_a_node_that_leaves_is_no_candidate_and_has_no_copy(self) -> None:
        parts = self.assemble()
        self.assertTrue(parts.members.is_candidate())
        self.ask(LeaveCluster())
        self.assertFalse(parts.members.is_candidate())
        self.assertIn("is not a master candidate", self.refusal(DescribeReplica()))

    def test_a_host_that_makes_no_keys_says_so(self) -> None:
        self.assemble()
        self.assertIn("this node cannot make keys", self.refusal(RequestCertificate()))
