# SPDX-License-Identifier: BSD-2-Clause
"""A failover looks at votes and copies, stops the old master, and starts a new one here."""

from __future__ import annotations

import os
from typing import Any

from ganeti.bootstrap.blocking_files import read_ssconf, write, write_ssconf
from ganeti.bootstrap.failover import (
    RACE_RETRIES,
    FailoverOptions,
    become_master,
    list_failover_problems,
)
from ganeti.errors import Failed, Refused
from ganeti.journal.etcd.store_settings import StateStore, encode_settings
from ganeti.paths import Paths
from ganeti.rpc.node import ResumeMaster, StopMaster
from ganeti.rpc.quorum import Ballot, ReplicaSet, VoterState
from ganeti.rpc.replicas import ReplicaEnd
from ganeti.system.pidfile import PidFile
from tests.bootstrap.host import Host
from tests.bootstrap.node_daemons import Answers, NodeDaemons

NODES = ("node1", "node2", "node3")
END = ReplicaEnd(position=10, digest="0" * 64)
LATER = ReplicaEnd(position=12, digest="1" * 64)
SET = ReplicaSet(term=3, generation=1, in_sync=("node1", "node2"), voters=NODES)


def a_ballot(**over: Any) -> Ballot:
    """The answer of a node that obeys node2, and whose copy of the journal is whole."""
    state = VoterState(term=3, master="node2", replica_set=SET)
    return Ballot(**{"granted": False, "state": state, "copy": END, "common": END, **over})


class RefusalTests(Host):
    def refused(self, name: str, why: str) -> None:
        with self.assertRaisesRegex(Refused, why):
            become_master(self.paths, name, port=1)

    def test_a_host_of_no_cluster_has_no_office(self) -> None:
        self.refused("node1", "this node is not part of a cluster")

    def test_only_a_candidate_can_be_the_master(self) -> None:
        self.init_cluster()
        self.refused("node2", "node2 is not a master candidate.* run this on one of node1")

    def test_its_own_node_daemon_must_run(self) -> None:
        self.init_cluster()
        self.refused("node1", "the node daemon of this node must be running: .*refused")

    def test_a_node_that_is_marked_offline_can_be_no_master(self) -> None:
        self.init_cluster()
        write_ssconf(self.paths, {"offline_nodes": "node1"})
        self.refused("node1", "node daemon of this node must be running: it is marked offline")


class FailoverCase(Host):
    """On node1, where no daemon but the node daemon runs, of three nodes whose master is node2."""

    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        ips = "\n".join(f"{name} 127.0.0.{n}" for n, name in enumerate(NODES, start=1))
        write_ssconf(self.paths, {"node_primary_ips": ips, "master_node": "node2"})
        self.ballots = dict.fromkeys(NODES, a_ballot())
        self.ballots["node2"] = a_ballot(serves=77)
        self.daemons = NodeDaemons(self, self.paths)
        self.started: list[tuple[str, ...]] = []
        self.problems: list[Failed] = []
        self.said: list[str] = []

    def serve(self, *names: str) -> None:
        for name in names:
            self.daemons.serve(name, self.answers(name))

    def answers(self, name: str) -> Answers:
        return {
            "vote_info": lambda _: self.ballots[name],
            StopMaster.wire: lambda _: self.stopped(name),
            ResumeMaster.wire: lambda _: True,
        }

    def stopped(self, name: str) -> bool:
        self.ballots[name] = a_ballot()
        return True

    def start(self, paths: Paths, daemon: str, *options: str) -> None:
        self.started.append((daemon, *options))
        if self.problems:
            raise self.problems.pop(0)

    def become_master(self, *names: str, **options: bool) -> None:
        """Make node1 the master where the daemons of these nodes run."""
        self.serve(*names)
        chosen = FailoverOptions(**options)
        port = self.daemons.port
        become_master(
            self.paths, "node1", chosen, say=self.said.append, port=port, start=self.start
        )

    def refused(self, *names: str, why: str) -> None:
        with self.assertRaisesRegex(Refused, why):
            self.become_master(*names)
        self.assertEqual(self.started, [])
        self.assertEqual(self.daemons.calls_to("node2", StopMaster), 0)


class FailoverTests(FailoverCase):
    def test_the_old_master_ends_before_the_new_one_starts(self) -> None:
        self.become_master(*NODES)
        self.assertEqual(
            self.said,
            [
                "3 of 3 nodes answer",
                "the master daemon on node2 was stopped",
                "ganeti-masterd is running on node1",
                "ganeti-rapi is running on node1",
            ],
        )
        port = f"--node-port={self.daemons.port}"
        masterd = ("ganeti-masterd", "--take-over", port)
        self.assertEqual(self.started, [masterd, ("ganeti-rapi",)])
        self.assertEqual(read_ssconf(self.paths, "master_node"), "node1")

    def test_a_master_that_is_away_is_done_without(self) -> None:
        self.become_master("node1", "node3")
        self.assertEqual(self.said[1], "node2 does not answer; continuing without it")
        self.assertEqual(len(self.started), 2)

    def test_a_minority_makes_no_master_unless_a_person_says_so(self) -> None:
        self.refused("node1", why="only 1 of 3 nodes answer, .*node2 .*--no-voting")
        self.said.clear()
        become_master(
            self.paths,
            "node1",
            FailoverOptions(voting=False),
            say=self.said.append,
            port=self.daemons.port,
            start=self.start,
        )
        self.assertEqual(self.started[0][1:3], ("--take-over", "--no-voting"))

    def test_a_copy_that_may_lack_acknowledged_changes_is_refused(self) -> None:
        alone = ReplicaSet(term=3, generation=2, in_sync=("node2",), voters=NODES)
        elsewhere = VoterState(term=3, master="node2", replica_set=alone)
        self.ballots["node2"] = a_ballot(state=elsewhere)
        why = "it was removed from the in-sync set. Make node2 the master, .*--accept-loss"
        self.refused(*NODES, why=why)

    def test_a_copy_that_is_damaged_is_refused(self) -> None:
        self.ballots["node1"] = a_ballot(copy=None, common=None)
        self.refused(*NODES, why="the local copy is damaged")

    def test_a_copy_that_others_do_not_follow_is_refused(self) -> None:
        self.ballots["node2"] = a_ballot(copy=LATER, common=LATER)
        self.refused(
            *NODES, why="the copy on node2 has 2 more commits, which do not follow the local copy"
        )

    def test_a_copy_that_others_follow_will_be_completed(self) -> None:
        self.ballots["node2"] = a_ballot(copy=LATER, common=END)
        self.become_master(*NODES)
        self.assertEqual(len(self.started), 2)

    def test_a_person_may_accept_the_loss(self) -> None:
        self.ballots["node1"] = a_ballot(copy=None, common=None)
        self.become_master(*NODES, accept_loss=True)
        self.assertIn("--accept-loss", self.started[0])

    def test_what_would_be_refused_can_be_read_beforehand(self) -> None:
        self.ballots["node1"] = a_ballot(copy=None, common=None)
        self.serve("node1")
        votes, loss = list_failover_problems(self.paths, "node1", port=self.daemons.port)
        self.assertIn("--no-voting", votes)
        self.assertIn("--accept-loss", loss)

    def test_a_lost_race_that_nobody_has_won_is_run_again(self) -> None:
        self.problems = [Failed("a majority voted for another node")]
        self.become_master(*NODES)
        self.assertEqual([daemon for daemon, *_ in self.started].count("ganeti-masterd"), 2)
        self.assertIn("no other node has become the master, trying again", self.said[2])

    def test_a_race_that_another_node_has_won_is_over(self) -> None:
        won = VoterState(term=4, master="node3", replica_set=SET)

        def start(paths: Paths, daemon: str, *options: str) -> None:
            self.started.append((daemon,))
            self.ballots = dict.fromkeys(NODES, a_ballot(state=won))
            self.ballots["node3"] = a_ballot(state=won, serves=88)
            raise Failed("a majority voted for node3")

        self.serve(*NODES)
        with self.assertRaisesRegex(Failed, "voted for node3"):
            become_master(self.paths, "node1", port=self.daemons.port, start=start)
        self.assertEqual(self.started, [("ganeti-masterd",)])

    def test_where_no_new_master_starts_the_old_one_goes_on(self) -> None:
        self.problems = [Failed("the disk is full")] * (RACE_RETRIES + 1)
        with self.assertRaisesRegex(Failed, "the disk is full"):
            self.become_master(*NODES)
        self.assertEqual(self.daemons.calls_to("node2", ResumeMaster), 1)
        self.assertEqual(self.said[-1], "the master daemon on node2 was restarted")
        self.assertEqual(read_ssconf(self.paths, "master_node"), "node2")

    def test_the_master_needs_no_failover(self) -> None:
        os.makedirs(self.paths.run, exist_ok=True)
        running = PidFile(f"{self.paths.run}/ganeti-masterd.pid", "ganeti-masterd")
        running.acquire()
        self.addCleanup(running.release)
        mine = VoterState(term=3, master="node1", replica_set=SET)
        self.ballots = dict.fromkeys(NODES, a_ballot(state=mine, lease=3.0))
        self.refused(*NODES, why="which is already the master")


class StoreFailoverTests(FailoverCase):
    """The same with the state in etcd, which decides instead of votes and copies."""

    def setUp(self) -> None:
        super().setUp()
        settings = StateStore(endpoints=("https://192.0.2.1:2379",), prefix="/t/")
        write({self.paths.state_store: (encode_settings(settings), 0o640)})
        self.ballots = dict.fromkeys(NODES, a_ballot(copy=None, common=None))
        self.ballots["node2"] = a_ballot(copy=None, common=None, serves=77)

    def test_the_master_daemon_alone_finds_out_who_is_the_master(self) -> None:
        self.become_master("node1", "node2")
        self.assertEqual(self.said[1], "the master daemon on node2 was stopped")
        self.assertEqual(read_ssconf(self.paths, "master_node"), "node1")

    def test_a_candidate_that_was_faster_is_stopped_as_well(self) -> None:
        def start(paths: Paths, daemon: str, *options: str) -> None:
            self.started.append((daemon,))
            if len(self.started) == 1:
                self.ballots["node3"] = a_ballot(copy=None, common=None, serves=88)
                raise Failed("node3 is the master")

        self.serve("node1", "node3")
        become_master(
            self.paths, "node1", say=self.said.append, port=self.daemons.port, start=start
        )
        self.assertEqual(self.daemons.calls_to("node3", StopMaster), 1)
        self.assertEqual(self.started, [("ganeti-masterd",), ("ganeti-masterd",), ("ganeti-rapi",)])
        self.assertEqual(read_ssconf(self.paths, "master_node"), "node1")

    def test_a_minority_of_nodes_is_enough(self) -> None:
        self.become_master("node1")
        self.assertEqual(len(self.started), 2)

    def test_there_are_no_votes_to_do_without(self) -> None:
        with self.assertRaisesRegex(Refused, "for clusters whose state is in files"):
            self.become_master("node1", voting=False)

    def test_the_master_needs_no_failover(self) -> None:
        write_ssconf(self.paths, {"master_node": "node1"})
        os.makedirs(self.paths.run, exist_ok=True)
        running = PidFile(f"{self.paths.run}/ganeti-masterd.pid", "ganeti-masterd")
        running.acquire()
        self.addCleanup(running.release)
        self.refused("node1", why="which is already the master")
