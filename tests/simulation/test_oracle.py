# SPDX-License-Identifier: BSD-2-Clause
"""The oracle and the checks of disks find what they are there to find."""

from __future__ import annotations

import gc

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.master.mastership import MasterTerm
from ganeti.node.voter import read_voter_state
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.rpc.quorum import ReleaseLease
from ganeti.rpc.wire import CallRequest
from ganeti.schema.records import replace
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.simulated_host import SimulatedHost
from tests.simulation.end_state import leftovers
from tests.simulation.oracle import Oracle


class OracleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.oracle = Oracle(self.cluster)
        self.cluster.pass_time(5.0)

    def tearDown(self) -> None:
        # As in the other simulations: what the dead leave behind.
        gc.collect()
        self.flushLoggedErrors()

    def tag(self, tag: str) -> None:
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=(tag,)))
        self.cluster.finish_jobs()

    def test_what_is_kept_from_master_to_master_is_no_violation(self) -> None:
        self.tag("one")
        self.cluster.kill_master()
        self.cluster.fail_over(self.cluster.hosts[1])
        self.tag("two")
        self.assertEqual(self.oracle.violations, [])
        self.assertGreater(self.oracle.acknowledgements, 0)

    def test_jobs_and_changes_that_a_later_master_does_not_know_are_lost(self) -> None:
        old = [(host, host.disk.snapshot()) for host in self.cluster.hosts]
        self.tag("one")
        for host, disk in old:
            self.cluster.restore(host, disk)
            self.cluster.restart_node(host)
        self.cluster.start_master()
        found = "\n".join(self.oracle.violations)
        self.assertIn("has lost job 1, which was acknowledged", found)
        self.assertIn("has lost an acknowledged change of cluster", found)
        self.assertRegex(found, r"lacks commits \d+ to \d+")
        self.tag("another")
        self.assertIn("gives the number 1 out again", "\n".join(self.oracle.violations))

    def test_a_master_whose_successor_has_begun_acknowledges_nothing_any_more(self) -> None:
        self.oracle.begun = (self.cluster.process.term + 1, "node2")
        self.tag("late")
        self.assertIn("acknowledges something after node2 has begun", self.oracle.violations[0])

    def test_a_node_does_nothing_for_an_older_term_or_for_others_than_its_master(self) -> None:
        term, observe = self.cluster.process.term, self.cluster.switch.observe
        assert observe is not None
        for caller, asked in (("node1", term), ("node1", term - 1), ("node2", term)):
            observe(caller, "node3", CallRequest("instance_start", asked, b"{}"))(b"[true,null]")
        old, stranger = self.oracle.violations
        self.assertIn(f"instance_start for node1 in term {term - 1}", old)
        self.assertIn("instance_start for node2, although node1 is the master", stranger)
        observe("node2", "node3", CallRequest("instance_start", 0, b"{}"))(b'[false,["X",[]]]')
        self.assertEqual(len(self.oracle.violations), 2)

    def test_a_node_does_nothing_in_a_term_that_is_not_on_its_disk(self) -> None:
        observe = self.cluster.switch.observe
        assert observe is not None
        term = self.cluster.process.term + 1
        observe("node1", "node3", CallRequest("instance_start", term, b"{}"))(b"[true,null]")
        self.assertIn("which it has not accepted on its disk", self.oracle.violations[0])


class ReplicationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)
        self.oracle = Oracle(self.cluster)
        self.cluster.pass_time(5.0)
        self.end = self.cluster.master.journal.last_commit()

    def tearDown(self) -> None:
        gc.collect()
        self.flushLoggedErrors()

    def forget_set(self, host: SimulatedHost) -> None:
        """Let a node's disk have the replica set before the newest."""
        path = host.paths.term_file
        state = read_voter_state(MemoryFiles(host.disk), path)
        older = replace(state.replica_set, generation=state.replica_set.generation - 1)
        host.disk.overwrite(path, msgspec.json.encode(replace(state, replica_set=older)))

    def test_a_vote_that_goes_back_is_found(self) -> None:
        self.forget_set(self.cluster.hosts[2])
        self.oracle.look()
        [found] = self.oracle.violations
        self.assertIn("the vote of node3 was", found)

    def test_a_majority_that_does_not_know_the_set_in_effect_is_found(self) -> None:
        for host in self.cluster.hosts[1:]:
            self.forget_set(host)
        self.oracle.look()
        self.assertIn("node2, node3 could elect a master", self.oracle.violations[-1])

    def test_a_commit_that_a_copy_in_sync_lacks_is_not_acknowledged(self) -> None:
        self.oracle.replication.acknowledged(self.cluster.process, self.end)
        self.assertEqual(self.oracle.violations, [])
        self.oracle.replication.acknowledged(self.cluster.process, self.end + 1)
        self.assertIn(f"commit {self.end + 1}, which node2 lacks", self.oracle.violations[0])

    def test_nothing_is_acknowledged_while_a_majority_may_elect_another_master(self) -> None:
        for name in ("node2", "node3"):
            self.successResultOf(self.cluster.switch.voters[name].release_lease(ReleaseLease()))
        self.oracle.replication.acknowledged(self.cluster.process, self.end)
        self.assertIn("node2, node3 are free to elect another", self.oracle.violations[0])

    def test_a_copy_that_comes_into_the_set_without_all_commits_is_found(self) -> None:
        old = self.cluster.hosts[1].disk.snapshot()
        self.cluster.network.vanish("node2")
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
        self.cluster.finish_jobs()
        self.cluster.hosts[1].disk.restore(old)
        in_effect = self.cluster.master.quorum.in_effect
        self.assertNotIn("node2", in_effect.in_sync)
        self.cluster.network.behave("node2")
        with_it = replace(
            in_effect, in_sync=("node1", "node2"), generation=in_effect.generation + 1
        )
        quorum = self.cluster.master.quorum.now
        assert isinstance(quorum, MasterTerm)
        quorum._in_effect = with_it
        self.oracle.look()
        self.assertIn("node2 counts as in sync", "".join(self.oracle.violations))


class LeftoversTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1, candidates=2)
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
        self.cluster.finish_jobs()
        self.cluster.pass_time(60.0)
        self.candidate, self.plain = self.cluster.hosts[1:]

    def tearDown(self) -> None:
        gc.collect()
        self.flushLoggedErrors()

    def test_a_cluster_that_works_leaves_nothing_behind(self) -> None:
        self.assertEqual(leftovers(self.cluster), [])

    def test_a_node_that_obeys_another_master_is_found(self) -> None:
        path = self.plain.paths.term_file
        state = read_voter_state(MemoryFiles(self.plain.disk), path)
        self.plain.disk.overwrite(path, msgspec.json.encode(replace(state, master="node2")))
        self.assertEqual(leftovers(self.cluster), [f"node3 obeys node2 of term {state.term}"])

    def test_images_of_no_instance_and_unknown_files_are_found(self) -> None:
        self.plain.images.sizes["/srv/ganeti/file-storage/web1/x.file.disk0"] = 1
        self.plain.disk.put(f"{self.plain.paths.data}/config.data.tmp", b"", 0o600, 0.0)
        image, file = leftovers(self.cluster)
        self.assertIn("which belongs to no instance there", image)
        self.assertIn("config.data.tmp", file)

    def test_secrets_on_a_node_that_is_no_candidate_are_found(self) -> None:
        self.plain.disk.put(self.plain.paths.authority_key, b"key", 0o600, 0.0)
        self.assertEqual(
            leftovers(self.cluster), ["node3 has /var/lib/ganeti/ca.key, and is regular"]
        )

    def test_a_copy_with_another_job_or_a_damaged_end_is_found(self) -> None:
        self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("two",)))
        self.cluster.finish_jobs()
        folder = self.candidate.paths.journal
        (name,) = (n for n in self.candidate.disk.names(folder) if n.startswith("segment"))
        path = f"{folder}/{name}"
        content = self.candidate.disk.contents()[path]
        self.candidate.disk.overwrite(path, content[:-1])
        (found,) = leftovers(self.cluster)
        self.assertRegex(found, r"the copy on node2 ends with \d+, not \d+")
