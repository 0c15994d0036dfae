# SPDX-License-Identifier: BSD-2-Clause
"""Secrets and the copy of the state leave a node with the role of a master candidate."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.node.candidacy import Candidacy, secrets
from ganeti.node.members import MemberList
from ganeti.node.membership import KEPT_NAMES
from ganeti.paths import Paths
from ganeti.rpc.members import MemberRecords, UpdateMembers
from ganeti.rpc.node import LeaveCluster
from ganeti.rpc.quorum import VoterState
from ganeti.rpc.replicas import DescribeReplica
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.host import MemoryHost

PATHS = Paths()
BOTH = MemberRecords(
    revision=1,
    certificates={"node1": ("aa",), "node2": ("bb",)},
    candidates=("node1", "node2"),
)
DEMOTED = replace(BOTH, revision=2, candidates=("node1",))
COPY = (f"{PATHS.journal}/1", f"{PATHS.queue}/job-1", f"{PATHS.queue}/archive/0/job-0")
OWN = (PATHS.node_certificate, PATHS.authority, f"{PATHS.data}/ssconf_node_list")


class CandidacyTests(SynchronousTestCase):
    """node2, a candidate, which has all that a candidate has."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        for path in (*secrets(PATHS), *COPY, *OWN):
            self.disk.add_folder(path.rpartition("/")[0], 0o755)
            self.disk.put(path, b"secret", 0o600, 0.0)
        self.master_runs = False
        self.closed = 0
        files = MemoryFiles(self.disk)
        accepted = VoterState(term=1, master="node1")
        members = MemberList(files, PATHS.member_list, "node2", lambda: accepted)
        self.candidacy = Candidacy(files, PATHS, members, lambda: self.master_runs, self.close)
        self.successResultOf(self.update(BOTH))

    async def close(self) -> None:
        self.closed += 1

    async def update(self, members: MemberRecords) -> int:
        return await self.candidacy.update(UpdateMembers(members=members))

    def left(self) -> set[str]:
        return set(self.disk.contents()) - {PATHS.member_list}

    def test_a_candidate_keeps_what_it_has(self) -> None:
        self.assertEqual(self.left(), {*secrets(PATHS), *COPY, *OWN})

    def test_one_that_is_none_any_more_has_nothing_left_when_it_answers(self) -> None:
        self.assertEqual(self.successResultOf(self.update(DEMOTED)), 2)
        self.assertEqual((self.left(), self.closed), (set(OWN), 1))

    def test_an_interrupted_removal_is_finished_when_the_list_comes_again(self) -> None:
        self.master_runs = True
        told = self.failureResultOf(self.update(DEMOTED), Failed).value
        self.assertIn("a master daemon still runs here", str(told))
        self.master_runs = False
        self.successResultOf(self.update(DEMOTED))
        self.assertEqual(self.left(), set(OWN))

    def test_only_candidates_answer_for_their_copy(self) -> None:
        asked = []

        async def answer(call: DescribeReplica) -> None:
            asked.append(call)

        required = self.candidacy.required(answer)
        self.successResultOf(required(DescribeReplica()))
        self.successResultOf(self.update(DEMOTED))
        self.failureResultOf(required(DescribeReplica()), Refused)
        self.assertEqual(len(asked), 1)

    def test_what_a_call_under_way_writes_does_not_stay(self) -> None:
        writing: Deferred[None] = Deferred()

        async def write(_: Any) -> None:
            await writing
            self.disk.put(f"{PATHS.journal}/2", b"late", 0o600, 0.0)

        call = Deferred.fromCoroutine(self.candidacy.required(write)(DescribeReplica()))
        demotion = Deferred.fromCoroutine(self.update(DEMOTED))
        self.assertNoResult(demotion)
        writing.callback(None)
        self.successResultOf(call)
        self.successResultOf(demotion)
        self.assertEqual(self.left(), set(OWN))


class LeavingTests(SynchronousTestCase):
    def test_nothing_but_exports_logs_and_what_the_administrator_wrote_stays(self) -> None:
        host = MemoryHost("node1", Clock())
        host.disk = disk = MemoryDisk()
        host.restart()
        paths = host.paths
        named = [getattr(paths, name) for name in dir(Paths) if not name.startswith("_")]
        below = [path for path in named if isinstance(path, str) and path.startswith(paths.data)]
        held = {path if "." in path or path == paths.term_file else f"{path}/x" for path in below}
        held -= {f"{paths.data}/x"}
        held |= {
            f"{paths.data}/ssconf_node_list",
            f"{paths.data}/enrolled",
            f"{paths.crypto}/k/key",
        }
        held |= {f"{paths.queue}/archive/0/job-1", f"{paths.conf}/vnc-cluster-password"}
        stays = {f"{paths.exports}/x", f"{paths.hooks}/x", f"{paths.log}/node-daemon.log"}
        for path in held | stays:
            disk.add_folder(path.rpartition("/")[0], 0o755)
            disk.put(path, b"x", 0o600, 0.0)
        self.successResultOf(host.parts.membership.leave_cluster(LeaveCluster()))
        self.assertEqual(set(disk.contents()), stays)
        self.assertEqual(KEPT_NAMES, {"export"})
