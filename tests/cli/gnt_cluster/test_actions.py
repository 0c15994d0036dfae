# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-cluster`` asks the master, or does on this node."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.journal.frames import digest_of, encode, header
from ganeti.journal.interfaces import BEGINNING, ZERO_DIGEST, Commit, Put
from ganeti.luxi.methods import (
    ConfirmNodesDown,
    QueryClusterInfo,
    QueryConfigValues,
    WaitForJobChange,
)
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.opcodes.cluster import DestroyCluster, ModifyCluster, RedistributeConfig, RenewCrypto
from ganeti.opcodes.opcode import Opcode
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import NOW, Terminal, in_utc


def jobs(terminal: Terminal) -> list[Opcode]:
    """The opcodes of all jobs that were submitted, without what says who asked."""
    submitted = terminal.master.memory.jobs.values()
    return [replace(opcode, reason=()) for job in submitted for opcode in job]


class AnswerTests(SynchronousTestCase):
    def test_versions_are_told(self) -> None:
        terminal = Terminal(answers_about(a_cluster()))
        self.assertEqual(terminal.run(GNT_CLUSTER, "version"), 0)
        first, *_, last = terminal.out.splitlines()
        self.assertEqual((first, last), ("Software version: 3.0.2", "VCS version: v3.0.2"))

    def test_a_ping_is_the_answer_of_the_master(self) -> None:
        terminal = Terminal(answers_about(a_cluster()))
        self.assertEqual((terminal.run(GNT_CLUSTER, "master-ping"), terminal.out), (0, ""))
        away = Terminal({QueryClusterInfo: MasterNotRunning("the master daemon is not running")})
        self.assertEqual(away.run(GNT_CLUSTER, "master-ping"), 1)
        self.assertEqual(away.err, "Failure: the master daemon is not running\n")

    def test_the_queue_and_the_watcher_are_told_to_programs(self) -> None:
        for what, value, told in (
            ("queue", False, {"drained": False}),
            ("watcher", NOW, {"paused_until": NOW}),
            ("watcher", None, {"paused_until": None}),
        ):
            terminal = Terminal({QueryConfigValues: [value]})
            self.assertEqual(terminal.run(GNT_CLUSTER, what, "info", "-o", "json"), 0)
            self.assertEqual(json.loads(terminal.out), told)

    def test_the_watcher_is_told_in_words(self) -> None:
        in_utc(self)
        for value, told in ((None, "not paused"), (NOW, "paused until 2023-11-14 22:13:20")):
            terminal = Terminal({QueryConfigValues: [value]})
            self.assertEqual(terminal.run(GNT_CLUSTER, "watcher", "info"), 0)
            self.assertEqual(terminal.out, f"The watcher is {told}.\n")

    def test_disks_whose_size_was_wrong_are_listed(self) -> None:
        terminal = Terminal(result=[["web1", 0, "size", 1024]])
        self.assertEqual(terminal.run(GNT_CLUSTER, "repair-disk-sizes"), 0)
        self.assertEqual(terminal.out, "web1 0 size 1024\n")


class ConfirmDownTests(SynchronousTestCase):
    def test_nodes_are_down_when_a_person_says_so(self) -> None:
        terminal = Terminal({ConfirmNodesDown: lambda _: None}, answers=["yes"])
        self.assertEqual(terminal.run(GNT_CLUSTER, "confirm-down", "node2", "node3"), 0)
        self.assertEqual(terminal.asked(), [ConfirmNodesDown(names=("node2", "node3"))])
        self.assertIn("continues without the votes of node2, node3.\n", terminal.out)

    def test_it_is_asked_about_unless_it_is_said_beforehand(self) -> None:
        terminal = Terminal({ConfirmNodesDown: lambda _: None})
        self.assertEqual(terminal.run(GNT_CLUSTER, "confirm-down", "node2"), 13)
        self.assertIn("use --yes-do-it", terminal.err)
        self.assertEqual(terminal.asked(), [])
        self.assertEqual(terminal.run(GNT_CLUSTER, "confirm-down", "--yes-do-it", "node2"), 0)


class CollectorTests(SynchronousTestCase):
    def test_intervals_are_whole_numbers(self) -> None:
        terminal = Terminal()
        words = ("--data-collector-interval", "lv=5000000,drbd=1")
        self.assertEqual(terminal.run(GNT_CLUSTER, "modify", *words), 0, terminal.err)
        wanted = ModifyCluster(data_collector_interval={"lv": 5_000_000, "drbd": 1})
        self.assertEqual(jobs(terminal), [wanted])
        words = ("--data-collector-interval", "lv=often")
        self.assertEqual(terminal.run(GNT_CLUSTER, "modify", *words), 1)
        self.assertIn("--data-collector-interval: values must be whole numbers", terminal.err)


class Founded(SynchronousTestCase):
    """A terminal at the first node of a cluster whose daemons do not run."""

    def setUp(self) -> None:
        self.terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))
        init_cluster(
            self.terminal.paths,
            cluster="cluster1",
            address="127.0.0.1",
            master="node1",
            master_address="127.0.0.1",
            hypervisors=["fake"],
        )

    def run_tool(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, *words)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()


class RenewalTests(Founded):
    def renew(self, *words: str) -> int:
        return self.run_tool("renew-crypto", "-f", *words)

    def test_it_must_be_said_what(self) -> None:
        self.assertEqual(self.renew(), 1)
        self.assertIn("nothing to renew; give at least one option", self.terminal.err)

    def test_secrets_of_the_candidates_change_here_and_are_sent_to_them(self) -> None:
        paths = self.terminal.paths
        files = (paths.rapi_certificate, paths.domain_secret)
        before = [self.read(file) for file in files]
        code = self.renew("--new-rapi-certificate", "--new-cluster-domain-secret")
        self.assertEqual(code, 0, self.terminal.err)
        for file, old in zip(files, before, strict=True):
            self.assertNotEqual(self.read(file), old)
        self.assertEqual(jobs(self.terminal), [RedistributeConfig()])

    def test_those_of_files_are_taken_as_they_are(self) -> None:
        pem, secret = Path(self.mktemp()), Path(self.mktemp())
        pem.write_bytes(Authority.founded("theirs", 0).credentials(["rapi"], 0).pem)
        secret.write_bytes(b"shared\n")
        words = ("--rapi-certificate", str(pem), "--cluster-domain-secret", str(secret))
        self.assertEqual(self.renew(*words), 0, self.terminal.err)
        paths = self.terminal.paths
        self.assertEqual(self.read(paths.rapi_certificate), pem.read_bytes())
        self.assertEqual(self.read(paths.domain_secret), b"shared\n")

    def test_a_file_that_will_not_do_changes_nothing(self) -> None:
        before = self.read(self.terminal.paths.rapi_certificate)
        empty = Path(self.mktemp())
        empty.touch()
        for words, why in (
            (("--rapi-certificate", str(empty)), "it must contain a key and its certificate"),
            (("--rapi-certificate", f"{empty}x"), "is unusable: No such file"),
            (("--cluster-domain-secret", str(empty)), "is empty"),
        ):
            self.assertEqual(self.renew(*words), 1)
            self.assertIn(why, self.terminal.err)
        self.assertEqual(self.read(self.terminal.paths.rapi_certificate), before)
        self.assertEqual(self.terminal.asked(), [])

    def test_certificates_of_nodes_are_renewed_by_a_job(self) -> None:
        self.assertEqual(self.renew("--new-node-certificates"), 0)
        self.assertEqual(jobs(self.terminal), [RenewCrypto(node_certificates=True)])

    def test_a_new_authority_brings_new_certificates_of_nodes(self) -> None:
        words = ("--new-cluster-certificate", "--new-node-certificates")
        self.assertEqual(self.renew(*words), 0)
        self.assertEqual(jobs(self.terminal), [RenewCrypto(cluster_certificate=True)])


class FailoverTests(Founded):
    def test_what_a_person_must_answer_for_is_asked_about(self) -> None:
        code = self.run_tool("master-failover", "--no-voting", "--node-port", "1")
        self.assertEqual(code, 1)
        self.assertIn("the node daemon of this node must be running", self.terminal.err)

    def test_a_node_of_no_cluster_cannot_be_the_master(self) -> None:
        os.unlink(self.terminal.paths.node_certificate)
        for words in ((), ("--accept-loss", "--yes-do-it")):
            self.assertEqual(self.run_tool("master-failover", *words), 1)
            self.assertIn("this node is not part of a cluster", self.terminal.err)


class EndTests(Founded):
    def test_a_dry_run_leaves_everything_there(self) -> None:
        self.assertEqual(self.run_tool("destroy", "--dry-run"), 0)
        self.assertEqual(jobs(self.terminal), [DestroyCluster(dry_run=True)])
        self.assertTrue(os.path.exists(self.terminal.paths.config_file))

    def test_what_the_master_refuses_leaves_everything_there(self) -> None:
        nodes = [["error", ["error"], [["OpPrereqError", ["node2 is there", "wrong_state"]]]], []]
        self.terminal.canned[WaitForJobChange] = lambda _: nodes
        self.assertEqual(self.run_tool("destroy", "--yes-do-it"), 1)
        self.assertEqual(self.terminal.err, "Failure: node2 is there\n")
        self.assertTrue(os.path.exists(self.terminal.paths.config_file))


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)
        self.terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))
        web1 = Put(kind="instance", key="uuid-1", value=msgspec.Raw(b'{"name":"web1"}'))
        frames, digest = [header(BEGINNING)], ZERO_DIGEST
        for who, job, edits in (("job", 7, (web1,)), ("masterd", None, (web1,))):
            commit = Commit(at=NOW, who=who, why="OP_NAME(web1)", job=job, edits=edits)
            frames.append(encode(commit, digest, 0))
            digest = digest_of(frames[-1])
        os.makedirs(self.terminal.paths.journal)
        Path(f"{self.terminal.paths.journal}/segment-{1:016}").write_bytes(b"".join(frames))

    def shown(self, *words: str) -> str:
        code = self.terminal.run(GNT_CLUSTER, "history", *words)
        self.assertEqual(code, 0, self.terminal.err)
        return self.terminal.out

    def test_each_change_is_a_line_that_says_who_and_why(self) -> None:
        self.assertEqual(
            self.shown(),
            "       1 2023-11-14 22:13:20 job 7: OP_NAME(web1): instance web1\n"
            "       2 2023-11-14 22:13:20 masterd: OP_NAME(web1): instance web1\n",
        )

    def test_only_the_last_ones_may_be_shown(self) -> None:
        self.assertEqual(self.shown("-n", "1"), self.shown().splitlines(True)[1])
        rows = json.loads(self.shown("-n", "5", "-o", "json"))
        self.assertEqual([(row["number"], row["job"]) for row in rows], [(1, 7), (2, None)])

    def test_a_chain_that_is_whole_is_told_so(self) -> None:
        told = "Journal: 2 commits, 1 to 2; each has the digest of its predecessor"
        self.assertEqual(self.shown("--check").replace("'", ""), f"{told}\n")
