# SPDX-License-Identifier: BSD-2-Clause
"""Masters and candidates that come back with less than they had: nothing newer is cut off."""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Refused
from ganeti.journal.marker import read_marker
from ganeti.master.checkpoints import MAX_AGE
from ganeti.master.startup import StartupMandate
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.simulated_host import SimulatedHost

TAKE_OVER = StartupMandate(take_over=True)


class OldDiskTests(SynchronousTestCase):
    def setUp(self) -> None:
        # So large that no copy has forgotten what another one lacks.
        self.cluster = SimulatedCluster(1, nodes=5, segment_size=16 << 20)
        self.cluster.pass_time(10.0)
        self.tags: set[str] = set()

    def tearDown(self) -> None:
        gc.collect()
        self.flushLoggedErrors()

    def tagged(self, *tags: str) -> None:
        """Add tags; they are acknowledged when this returns."""
        for tag in tags:
            before = len(self.cluster.acknowledged)
            self.cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=(tag,)))
            self.cluster.finish_jobs()
            self.assertEqual(len(self.cluster.acknowledged), before + 1)
            self.tags.add(tag)

    def checkpointed(self, files: MemoryFiles, host: SimulatedHost) -> int:
        """Return the last commit that the files of a host's checkpoint may hold."""
        return read_marker(files, f"{host.paths.journal}/checkpoint").newest.position

    def assert_nothing_lost(self) -> None:
        found = set(self.cluster.master.config.state().cluster.tags)
        self.assertLessEqual(self.tags, found)

    def snapshot(self, host: SimulatedHost) -> MemoryDisk:
        return host.disk.snapshot()

    def put_back(self, host: SimulatedHost, disk: MemoryDisk, *, votes: bool = True) -> None:
        """Let a host find an old disk; without ``votes`` its vote is the one it has now."""
        now = host.disk.contents().get(host.paths.term_file)
        host.disk = disk
        if not votes and now is not None:
            disk.put(host.paths.term_file, now, 0o600, 0.0)
        self.cluster.restart_node(host)

    def restarted(self, change: Callable[[SimulatedHost], None]) -> None:
        """Kill the master, change its disk, and start it again."""
        host = self.cluster.process.host
        self.cluster.kill_master()
        change(host)
        self.cluster.start_master(host)
        self.cluster.pass_time(10.0)

    def test_a_master_with_an_old_disk_adopts_what_the_candidates_have(self) -> None:
        for votes in (True, False):
            self.tagged(f"before-{votes}")
            old = self.snapshot(self.cluster.process.host)
            self.tagged(f"after-{votes}", f"later-{votes}")
            self.restarted(lambda host: self.put_back(host, old, votes=votes))  # noqa: B023
            self.assert_nothing_lost()
            self.tagged(f"again-{votes}")

    def test_a_master_whose_last_frame_is_damaged_adopts_it(self) -> None:
        self.tagged("one", "two")
        master = self.cluster.process.host
        files = MemoryFiles(master.disk, self.cluster.clock)
        # A checkpoint that holds the damaged frame is another matter: it is of another history.
        while self.checkpointed(files, master) >= self.cluster.copy_of(master).end:
            self.tagged(f"more-{len(self.tags)}")

        def flip_a_bit(host: SimulatedHost) -> None:
            path = max(p for p in host.disk.contents() if "/segment-" in p)
            content = bytearray(host.disk.contents()[path])
            content[-3] ^= 1
            host.disk.overwrite(path, bytes(content))

        self.restarted(flip_a_bit)
        self.assert_nothing_lost()

    def test_a_master_without_its_journal_is_refused_and_cuts_nothing(self) -> None:
        self.tagged("one", "two")
        self.cluster.pass_time(30.0)
        host = self.cluster.process.host
        ends = [self.cluster.copy_of(each).mark for each in self.cluster.hosts[1:]]

        def remove_the_journal(host: SimulatedHost) -> None:
            for path in list(host.disk.contents()):
                if path.startswith(host.paths.journal + "/segment-"):
                    host.disk.pop_file(path)

        with self.assertRaises(GanetiError):
            self.restarted(remove_the_journal)
        self.cluster.pass_time(10.0)
        self.assertEqual(ends, [self.cluster.copy_of(e).mark for e in self.cluster.hosts[1:]])
        self.cluster.start_master(self.cluster.hosts[1], TAKE_OVER)
        self.assert_nothing_lost()
        self.cluster.pass_time(60.0)
        self.assertIn(host.name, self.cluster.master.quorum.in_effect.in_sync)
        self.tagged("three")

    def test_a_candidate_with_an_old_disk_adopts_before_it_takes_over(self) -> None:
        candidate = self.cluster.hosts[2]
        old = self.snapshot(candidate)
        self.tagged("one", "two", "three")
        self.cluster.kill_master()
        self.put_back(candidate, old, votes=False)
        self.cluster.start_master(candidate, TAKE_OVER)
        self.assert_nothing_lost()

    def test_a_candidate_that_was_told_of_more_than_any_copy_has_is_refused(self) -> None:
        cluster = self.cluster
        candidate, voters = cluster.hosts[2], cluster.hosts[3:]
        for host in voters:
            # Nodes that vote and have no copy: the master knows them as candidates that are silent.
            cluster.network.vanish(host.name)
        cluster.pass_time(20.0)
        old = self.snapshot(candidate)
        for host in voters:
            cluster.network.behave(host.name)
        self.tagged("one", "two", "three")
        cluster.pass_time(3.0)
        for host in voters:
            for path in list(host.disk.contents()):
                if path.startswith(host.paths.journal):
                    host.disk.pop_file(path)
            cluster.restart_node(host)
        cluster.kill_master()
        cluster.network.vanish(cluster.hosts[0].name)
        cluster.network.vanish(cluster.hosts[1].name)
        self.put_back(candidate, old, votes=False)
        with self.assertRaisesRegex(Refused, "to be acknowledged|not in sync"):
            cluster.start_master(candidate, TAKE_OVER)
        cluster.network.behave(cluster.hosts[1].name)
        cluster.start_master(cluster.hosts[1], TAKE_OVER)
        self.assert_nothing_lost()

    def test_the_role_goes_to_and_fro_with_old_disks_in_between(self) -> None:
        for number in (1, 2, 0, 1, 0):
            target = self.cluster.hosts[number]
            old = self.snapshot(target)
            self.tagged(f"before-{number}-{len(self.tags)}")
            self.cluster.kill_master()
            self.put_back(target, old, votes=False)
            self.cluster.start_master(target, TAKE_OVER)
            self.cluster.pass_time(10.0)
            self.tagged(f"after-{number}-{len(self.tags)}")
            self.assert_nothing_lost()

    def test_an_edit_of_config_data_becomes_a_commit(self) -> None:
        self.tagged("one")
        # Until config.data is written for the few commits that it lacks.
        self.cluster.pass_time(MAX_AGE + 30.0)

        def edit(host: SimulatedHost) -> None:
            path = host.paths.config_file
            text = host.disk.contents()[path]
            host.disk.overwrite(path, text.replace(b'"one"', b'"edited"'))

        self.restarted(edit)
        self.assertEqual(self.cluster.master.config.state().cluster.tags, ("edited",))
        self.cluster.kill_master()
        self.cluster.start_master(self.cluster.hosts[1], TAKE_OVER)
        self.assertEqual(self.cluster.master.config.state().cluster.tags, ("edited",))


class RaceTests(SynchronousTestCase):
    def tearDown(self) -> None:
        gc.collect()
        self.flushLoggedErrors()

    def test_a_copy_whose_host_wants_the_role_as_well_is_not_passed_over(self) -> None:
        for seed in range(10):
            cluster = SimulatedCluster(seed, nodes=3, candidates=2)
            cluster.pass_time(5.0)
            first, second = cluster.hosts[:2]
            old = first.disk.snapshot()
            cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
            # The nodes without a copy have not been told yet of what is acknowledged.
            while "one" not in cluster.master.config.state().cluster.tags:
                cluster.pass_time(0.02)
            cluster.restore(first, old)
            cluster.restart_node(first)
            for host in (first, second):
                _, beginning = cluster.launch_master(host, TAKE_OVER)
                beginning.addErrback(lambda failure: failure.trap(GanetiError) and None)
            cluster.pass_time(30.0)
            (process,) = (each for each in cluster.processes if each.acts)
            tags = process.master.config.state().cluster.tags
            self.assertIn("one", tags, f"seed {seed}: {process.host.name} has lost it")

    def test_a_copy_that_a_frozen_master_has_in_use_is_not_passed_over(self) -> None:
        cluster = SimulatedCluster(1, nodes=3, candidates=2)
        cluster.pass_time(5.0)
        second = cluster.hosts[1]
        old = second.disk.snapshot()
        cluster.submit(AddTags(kind=TagKind.CLUSTER, tags=("one",)))
        while "one" not in cluster.master.config.state().cluster.tags:
            cluster.pass_time(0.02)
        cluster.process.clock.pause()
        cluster.restore(second, old)
        cluster.restart_node(second)
        cluster.start_master(second, TAKE_OVER)
        self.assertIn("one", cluster.master.config.state().cluster.tags)
