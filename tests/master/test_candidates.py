# SPDX-License-Identifier: BSD-2-Clause
"""The in-sync set: nobody waits for long, and who is in it has everything."""

from __future__ import annotations

import errno
from collections.abc import Coroutine
from copy import deepcopy
from random import Random
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import CommitFailed, NotMaster
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.frames import digest_of, encode
from ganeti.journal.interfaces import Commit, IReplicas, LogPosition
from ganeti.journal.segments import Segments
from ganeti.master.candidates import Candidates
from ganeti.master.follower import CheckpointFiles, FollowerTimeouts, to_wire
from ganeti.master.mastership import MasterTerm
from ganeti.model.node import Node
from ganeti.node.replicas import Replica
from ganeti.node.voter import Voter
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.quorum import DescribeVote, RenewLease, RequestVote
from ganeti.rpc.replicas import (
    AppendFrames,
    DescribeReplica,
    OpenReplica,
    ResetReplica,
    StoreCheckpoint,
)
from ganeti.rpc.server import CallHandlers
from ganeti.testing.builders import a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.nodes import MemoryNodes
from tests.contracts.journal import a_commit

T = TypeVar("T")

DATA = "/var/lib/ganeti"
MASTER, NODE2, NODE3 = (a_node(name) for name in ("node1", "node2", "node3"))
LATENCY = 0.001


class Cluster:
    """A master with its journal, and candidates that keep copies, all on one clock."""

    def __init__(self, nodes: tuple[Node, ...], random: Random, patience: FollowerTimeouts) -> None:
        self.clock = Clock()
        self.random = random
        self.patience = patience
        self.disks = {node.name: MemoryDisk(random) for node in (MASTER, *nodes)}
        self.nodes = MemoryNodes(clock=self.clock, delay=lambda: LATENCY)
        self.members = (MASTER, *nodes)
        self.voters: dict[str, Voter] = {}
        for node in self.members:
            self.start_node(node)
        self.start()

    def start_node(self, node: Node) -> None:
        files = MemoryFiles(self.disks[node.name], self.clock, latency=LATENCY)
        replica = Replica(files, DATA)
        # On a disk that never fails: the votes are tested elsewhere.
        voter = self.voters.setdefault(
            node.name, Voter(MemoryFiles(MemoryDisk()), "/term", self.clock)
        )
        answers = CallHandlers(voter.term)
        answers.to(RequestVote, voter.request)
        answers.to(DescribeVote, voter.describe)
        answers.to(RenewLease, voter.renew)
        if node != MASTER:
            answers.to(AppendFrames, replica.append_frames)
            answers.to(OpenReplica, replica.open)
            answers.to(DescribeReplica, replica.describe)
            answers.to(ResetReplica, replica.reset)
            answers.to(StoreCheckpoint, replica.replace_checkpoint)
        self.nodes.add_node(node.name, answers)

    def start(self) -> None:
        """Start the master daemon on what is on its disk."""
        files = MemoryFiles(self.disks["node1"], self.clock, latency=LATENCY)
        opening = FileJournal.open(files, f"{DATA}/journal", self.clock, segment_size=4000)
        self.journal = self.done(opening)
        asker = self.asker = NodeClient(
            self.nodes,
            self.clock,
            term=lambda: quorum.term(),
            master="node1",
            elected=lambda: quorum.elected,
        )
        self.quorum = quorum = MasterTerm(
            asker,
            "node1",
            lambda: self.members,
            self.clock,
            lost=lambda _: None,
            acknowledged=lambda: to_wire(self.journal.acknowledged()),
            own_term=self.voters["node1"].term,
            process=1,
            random=self.random,
        )
        self.candidates = Candidates(
            self.journal,
            asker,
            self.clock,
            quorum,
            master=MASTER,
            checkpoint=self.checkpoint,
            patience=self.patience,
        )
        self.journal.replicate_to(self.candidates)
        self.begun = Deferred.fromCoroutine(self.begin())
        self.begun.addErrback(lambda failure: failure.trap(NotMaster, CancelledError))
        while not self.begun.called:
            self.run(0.1)

    async def begin(self) -> None:
        election = await self.quorum.elect(0)
        await self.quorum.begin_term(election.replica_set.in_sync or ("node1",))
        self.candidates.members(self.members)

    def stop(self) -> None:
        self.candidates.stop()
        self.quorum.stop()

    async def checkpoint(self) -> CheckpointFiles:
        position = self.journal.last_commit()
        return CheckpointFiles({"config.data": b"state of %d" % position}, position)

    def in_sync(self) -> set[str]:
        """The members of the set in effect, without the master."""
        return set(self.quorum.in_effect.in_sync) - {"node1"}

    def done(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        waiting = Deferred.fromCoroutine(work)
        self.run(20 * LATENCY)
        found: list[T] = []
        waiting.addCallback(found.append)
        if not found:
            raise AssertionError(f"not done yet: {waiting}")
        return found[0]

    def run(self, seconds: float) -> None:
        """Let time pass, without a jump over anything that happens."""
        end = self.clock.seconds() + seconds
        while (calls := self.clock.getDelayedCalls()) and calls[0].getTime() <= end:
            self.clock.advance(max(0.0, calls[0].getTime() - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def open_copy(self, node: Node) -> None:
        """Open the copy of a node, as a late call does."""
        self.done(self.asker.ask(node, OpenReplica()))

    def append(self, number: int) -> Deferred[int]:
        return Deferred.fromCoroutine(self.journal.append(a_commit(number)))

    def copy(self, node: Node) -> FileJournal:
        """The journal that a new master would find on ``node``."""
        disk, clock = self.disks[node.name], Clock()
        opening = Deferred.fromCoroutine(
            FileJournal.open(MemoryFiles(disk), f"{DATA}/journal", clock)
        )
        found: list[FileJournal] = []
        opening.addCallback(found.append)
        return found[0]


class CandidatesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.make()

    def make(self, *nodes: Node, patience: FollowerTimeouts | None = None) -> None:
        patience = patience or FollowerTimeouts()
        self.cluster = Cluster(nodes or (NODE2, NODE3), Random(1), patience)
        self.clock, self.nodes = self.cluster.clock, self.cluster.nodes
        self.candidates = self.cluster.candidates
        self.cluster.run(1)

    def kept(self, number: int, *, within: float = 0.05) -> None:
        waiting = self.cluster.append(number)
        self.cluster.run(within)
        self.successResultOf(waiting)

    def assert_in_sync(self, *nodes: Node) -> None:
        self.assertEqual(self.cluster.in_sync(), {node.name for node in nodes})
        for node in nodes:
            self.assertEqual(
                self.cluster.copy(node).end_position(),
                self.cluster.journal.end_position(),
                node.name,
            )

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IReplicas, self.candidates)

    def test_new_candidates_are_let_in_and_recorded(self) -> None:
        self.assert_in_sync(NODE2, NODE3)
        self.assertEqual(self.candidates.out_of_sync(), {})

    def test_a_commit_is_with_every_member_when_it_returns(self) -> None:
        ends: list[list[int]] = []
        self.cluster.append(1).addCallback(
            lambda _: ends.append(
                [self.cluster.copy(n).last_commit() for n in (MASTER, NODE2, NODE3)]
            )
        )
        self.cluster.run(1)
        [[position, *others]] = ends
        self.assertEqual(others, [position, position])

    def test_one_that_hangs_delays_commits_by_the_bound_once(self) -> None:
        self.nodes.hang("node3")
        waiting = self.cluster.append(1)
        self.cluster.run(4.9)
        self.assertNoResult(waiting)
        self.cluster.run(0.2)
        self.successResultOf(waiting)
        self.kept(2)
        self.assert_in_sync(NODE2)
        self.assertIn("within 5 seconds", self.candidates.out_of_sync()[NODE3.uuid])

    def test_one_that_is_gone_delays_nobody(self) -> None:
        self.nodes.vanish("node3")
        self.kept(1)
        self.assert_in_sync(NODE2)
        self.assertIn("connection refused", self.candidates.out_of_sync()[NODE3.uuid])

    def test_nothing_is_acknowledged_while_the_record_counts_on_one_that_lacks_it(self) -> None:
        self.nodes.vanish("node3")
        records: list[tuple[str, ...]] = []
        self.cluster.append(1).addCallback(
            lambda _: records.append(self.cluster.voters["node2"].state.replica_set.in_sync)
        )
        self.cluster.run(1)
        self.assertEqual(records, [("node1", "node2")])

    def test_without_a_majority_nothing_is_acknowledged(self) -> None:
        self.nodes.vanish("node2")
        self.nodes.vanish("node3")
        waiting = self.cluster.append(1)
        self.cluster.run(100)
        self.assertNoResult(waiting)
        self.nodes.behave("node2")
        self.cluster.run(70)
        self.successResultOf(waiting)
        self.assert_in_sync(NODE2)

    def test_one_that_comes_back_gets_what_it_lacks_and_is_let_in(self) -> None:
        self.nodes.vanish("node3")
        for number in range(600):
            self.cluster.append(number)
        self.cluster.run(3)
        self.nodes.behave("node3")
        self.cluster.run(60)
        self.assert_in_sync(NODE2, NODE3)

    def test_one_comes_back_under_load(self) -> None:
        self.nodes.vanish("node3")
        for number in range(900):
            waiting = self.cluster.append(number)
            self.cluster.run(0.01)
            if number == 400:
                self.nodes.behave("node3")
        self.successResultOf(waiting)
        self.assert_in_sync(NODE2, NODE3)

    def test_one_whose_disk_fails_is_out_until_it_works(self) -> None:
        self.cluster.disks["node3"].break_down(errno.ENOSPC)
        self.kept(1)
        self.assertIn("disk is full", self.candidates.out_of_sync()[NODE3.uuid])
        self.cluster.disks["node3"].heal()
        self.cluster.run(60)
        self.assert_in_sync(NODE2, NODE3)

    def test_one_that_lacks_what_was_forgotten_gets_a_checkpoint(self) -> None:
        self.nodes.vanish("node3")
        for number in range(40):
            self.kept(number)
        journal = self.cluster.journal
        self.cluster.done(journal.remove_before(journal.last_commit()))
        self.assertGreater(journal.base_position(), 3)
        self.nodes.behave("node3")
        self.cluster.run(60)
        self.assert_in_sync(NODE2, NODE3)
        self.assertIn(f"{DATA}/config.data", self.cluster.disks["node3"].contents())

    def test_a_copy_that_grows_gets_checkpoints(self) -> None:
        self.make(NODE2, patience=FollowerTimeouts(frames=5000))
        for number in range(60):
            self.kept(number)
        self.cluster.run(1)
        self.assert_in_sync(NODE2)
        self.assertIn(f"{DATA}/config.data", self.cluster.disks["node2"].contents())

    def test_a_copy_of_another_cluster_is_replaced(self) -> None:
        other = Cluster((NODE2,), Random(1), FollowerTimeouts())
        for number in range(5):
            other.append(number)
            other.run(1)
        cluster = self.cluster
        cluster.members = (MASTER, NODE2)
        self.candidates.members(cluster.members)
        cluster.disks["node3"] = other.disks["node2"]
        cluster.start_node(NODE3)
        self.candidates.members((MASTER, NODE2, NODE3))
        cluster.run(5)
        self.assert_in_sync(NODE2, NODE3)

    def test_a_copy_that_went_another_way_keeps_what_it_has_in_common(self) -> None:
        for number in range(30):
            self.kept(number)
        self.cluster.stop()
        copy = Segments(MemoryFiles(self.cluster.disks["node3"]), f"{DATA}/journal")
        for work in (copy.open(), copy.truncate_after(self.cluster.journal.find_log_position(17))):
            self.successResultOf(Deferred.fromCoroutine(work))
        self.successResultOf(Deferred.fromCoroutine(self.append_others(copy)))
        asked = len(self.nodes.asked)
        self.cluster.start()
        self.candidates = self.cluster.candidates
        self.kept(30)
        self.cluster.run(5)
        self.assert_in_sync(NODE2, NODE3)
        names = [call for node, call in self.nodes.asked[asked:] if node == "node3"]
        self.assertNotIn(ResetReplica.wire, names)
        self.assertLess(names.count(DescribeReplica.wire), 9)

    async def append_others(self, segments: Segments) -> None:
        for number in range(100, 120):
            frame = encode(a_commit(number), segments.end.digest, 0)
            await segments.write(frame, LogPosition(segments.end.position + 1, digest_of(frame)))

    def test_one_that_comes_back_with_an_old_disk_is_noticed_without_a_commit(self) -> None:
        self.kept(1)
        self.cluster.run(1)
        old = deepcopy(self.cluster.disks["node3"])
        self.kept(2)
        self.cluster.run(1)
        self.cluster.disks["node3"] = old
        self.cluster.start_node(NODE3)
        self.cluster.run(60)
        self.assert_in_sync(NODE2, NODE3)

    def test_one_whose_daemon_was_started_again_stays_in_sync(self) -> None:
        self.kept(1)
        in_effect = self.cluster.quorum.in_effect
        for number in (2, 3):
            self.cluster.run(2.0)
            self.cluster.start_node(NODE2)
            self.kept(number)
        self.assertEqual(self.cluster.quorum.in_effect, in_effect)
        self.assert_in_sync(NODE2, NODE3)

    def test_one_whose_copy_is_opened_by_others_all_the_time_leaves_the_set(self) -> None:
        self.kept(1)
        self.cluster.run(2.0)
        for number in (2, 3):
            self.cluster.open_copy(NODE2)
            self.kept(number)
        self.assert_in_sync(NODE3)

    def test_one_that_was_started_again_with_an_old_disk_leaves_the_set(self) -> None:
        self.kept(1)
        old = deepcopy(self.cluster.disks["node2"])
        self.kept(2)
        self.cluster.disks["node2"] = old
        self.cluster.start_node(NODE2)
        self.cluster.run(2.0)
        self.kept(3)
        self.assert_in_sync(NODE3)
        self.cluster.run(5.0)
        self.assert_in_sync(NODE2, NODE3)

    def test_nodes_that_are_no_candidates_any_more_leave_the_set(self) -> None:
        self.candidates.members((MASTER, NODE2, a_node("node3", offline=True)))
        self.kept(1)
        self.assert_in_sync(NODE2)
        self.assertEqual(self.candidates.out_of_sync(), {})
        self.candidates.members((MASTER, NODE2, NODE3))
        self.cluster.run(1)
        self.assert_in_sync(NODE2, NODE3)

    def test_after_a_failure_of_the_master_copies_have_what_was_acknowledged(self) -> None:
        self.kept(1)
        disk = self.cluster.disks["node1"]
        disk.break_down(errno.EIO)
        waiting = self.cluster.append(2)
        self.cluster.run(1)
        self.failureResultOf(waiting, CommitFailed)
        disk.heal()
        self.cluster.done(self.cluster.journal.reopen())
        self.kept(3)
        self.cluster.run(60)
        self.assert_in_sync(NODE2, NODE3)
        jobs = [commit.job for _, commit in self.cluster.copy(NODE2).replay(0) if commit.job]
        self.assertEqual(jobs, [1, 3])

    def test_a_restart_trusts_the_record_and_compares(self) -> None:
        self.kept(1)
        self.cluster.stop()
        self.cluster.start()
        self.candidates = self.cluster.candidates
        self.kept(2)
        self.assert_in_sync(NODE2, NODE3)

    def test_after_the_stop_nothing_is_kept_and_the_set_is_as_it_was(self) -> None:
        self.candidates.stop()
        waiting = self.cluster.append(1)
        self.cluster.run(1)
        self.assertIn("is stopping", str(self.failureResultOf(waiting, CommitFailed).value))
        self.assertEqual(self.cluster.in_sync(), {"node2", "node3"})

    def test_a_node_that_follows_a_newer_master_ends_it(self) -> None:
        self.nodes.garbage("node3", b'[false,["OldTerm",["there is a newer master"]]]')
        before = self.cluster.journal.last_commit()
        waiting = self.cluster.append(1)
        self.cluster.run(1)
        failure = self.failureResultOf(waiting, CommitFailed)
        self.assertIn("newer master", str(failure.value))
        self.assertEqual(self.cluster.copy(MASTER).last_commit(), before)
        reopening = Deferred.fromCoroutine(self.cluster.journal.reopen())
        self.failureResultOf(reopening, NotMaster)


class SimulationTests(SynchronousTestCase):
    def test_who_is_in_sync_has_all_that_was_acknowledged(self) -> None:
        for seed in range(12):
            Simulation(self, seed).run()


class Simulation:
    """Commits, while chance makes nodes vanish, hang, lose answers and disks fail."""

    def __init__(self, test: SynchronousTestCase, seed: int) -> None:
        self.test = test
        self.seed = f"seed {seed}"
        self.random = Random(seed)
        self.cluster = Cluster(
            (NODE2, NODE3), self.random, FollowerTimeouts(bound=2.0, max_delay=8.0)
        )
        self.acknowledged: list[tuple[int, Commit]] = []
        self.asked = 0

    def run(self) -> None:
        for _ in range(60):
            self.random.choice((self.trouble, self.commit, self.commit, self.commit))()
            self.cluster.run(self.random.choice((0.0005, 0.01, 0.5, 3.0)))
            self.check()
        for node in (NODE2, NODE3):
            self.cluster.nodes.behave(node.name)
            self.cluster.disks[node.name].heal()
        for _ in range(3):
            self.cluster.run(40)
            self.heal()
        self.test.assertEqual(self.cluster.in_sync(), {"node2", "node3"}, self.seed)
        self.check()
        self.cluster.stop()
        self.cluster.run(1)
        self.test.assertEqual(self.cluster.clock.getDelayedCalls(), [], self.seed)

    def commit(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            commit = a_commit(self.asked)
            self.asked += 1
            self._append(commit)

    def _append(self, commit: Commit) -> None:
        waiting = Deferred.fromCoroutine(self.cluster.journal.append(commit))
        waiting.addCallback(lambda position: self.acknowledged.append((position, commit)))
        waiting.addErrback(lambda failure: failure.trap(CommitFailed))

    def trouble(self) -> None:
        node = self.random.choice((NODE2, NODE3)).name
        nodes, disks = self.cluster.nodes, self.cluster.disks
        self.random.choice(
            (
                lambda: nodes.vanish(node),
                lambda: nodes.hang(node),
                lambda: nodes.slow(node, self.random.uniform(0, 4)),
                lambda: nodes.lose_answer(node, call=AppendFrames.wire),
                lambda: nodes.behave(node),
                lambda: nodes.behave(node),
                lambda: disks[node].break_down(errno.EIO),
                disks[node].heal,
                lambda: disks["node1"].fail(disks["node1"].writes + 1, errno.ENOSPC),
                self.heal,
                self.crash,
                self.forget,
            )
        )()

    def heal(self) -> None:
        self.cluster.disks["node1"].heal()
        Deferred.fromCoroutine(self.cluster.journal.reopen()).addErrback(
            lambda failure: failure.trap(CommitFailed)
        )

    def crash(self) -> None:
        """The master's host loses power and is started again, with a majority there to vote."""
        cluster = self.cluster
        cluster.nodes.behave(self.random.choice((NODE2, NODE3)).name)
        before = cluster.disks["node1"]
        before.crash()
        cluster.stop()
        cluster.disks["node1"] = before.after_crash()
        cluster.start()

    def forget(self) -> None:
        journal = self.cluster.journal
        Deferred.fromCoroutine(journal.remove_before(journal.last_commit())).addErrback(
            lambda failure: failure.trap(OSError)
        )

    def check(self) -> None:
        # Also what a set says that is only on its way: a successor may find no other.
        in_effect = self.cluster.quorum.in_effect
        sets = [voter.state.replica_set for voter in self.cluster.voters.values()]
        newer = [each for each in sets if each.order >= in_effect.order]
        members = {name for each in (in_effect, *newer) for name in each.in_sync}
        copies = [MASTER, *(node for node in (NODE2, NODE3) if node.name in members)]
        for node in copies:
            journal = self.cluster.copy(node)
            found = dict(journal.replay(journal.base_position()))
            lost = [
                position
                for position, commit in self.acknowledged
                if position > journal.base_position() and found.get(position) != commit
            ]
            self.test.assertEqual(lost, [], f"{self.seed}: {node.name}")
