# SPDX-License-Identifier: BSD-2-Clause
"""What ``gnt-cluster`` asks the master, or does on this node."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.cli.gnt_cluster import actions
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.session import NOT_IN_CLUSTER, ExitTool
from ganeti.luxi.methods import (
    ConfirmNodesDown,
    QueryClusterInfo,
    QueryConfigValues,
    SetDrainFlag,
    SetWatcherPause,
    WaitForJobChange,
)
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.opcodes.cluster import DestroyCluster
from ganeti.opcodes.instance.disks import ActivateDisks
from ganeti.opcodes.opcode import Opcode
from ganeti.paths import Paths
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import NOW, Terminal, arguments, in_utc


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


class QueueTests(SynchronousTestCase):
    def queue(self, what: str, drained: bool = False) -> Terminal:
        terminal = Terminal({SetDrainFlag: lambda _: None, QueryConfigValues: [drained]})
        given = arguments("queue", what=what)
        self.assertEqual(terminal.call(lambda it: actions.queue(it, given)), 0)
        return terminal

    def test_it_is_drained_and_undrained(self) -> None:
        for what, flag in (("drain", True), ("undrain", False)):
            terminal = self.queue(what)
            self.assertEqual((terminal.asked(), terminal.out), ([SetDrainFlag(flag=flag)], ""))

    def test_whether_it_is_drained_is_told(self) -> None:
        self.assertEqual(self.queue("info", True).out, "The drain flag is set\n")
        self.assertEqual(self.queue("info", False).out, "The drain flag is unset\n")


class WatcherTests(SynchronousTestCase):
    def watcher(self, what: str, duration: str | None = None) -> Terminal:
        terminal = Terminal({SetWatcherPause: lambda request: request.until})
        values = {} if duration is None else {"duration": duration}
        given = arguments("watcher", what=what, **values)
        self.assertEqual(terminal.call(lambda it: actions.watcher(it, given)), 0)
        return terminal

    def test_a_pause_ends_by_itself(self) -> None:
        in_utc(self)
        terminal = self.watcher("pause", "90")
        self.assertEqual(terminal.asked(), [SetWatcherPause(until=NOW + 90)])
        self.assertEqual(terminal.out, "The watcher is paused until 2023-11-14 22:14:50.\n")

    def test_it_can_be_ended(self) -> None:
        terminal = self.watcher("continue")
        self.assertEqual(terminal.asked(), [SetWatcherPause(until=None)])
        self.assertEqual(terminal.out, "The watcher is not paused.\n")

    def test_a_pause_has_a_duration_and_nothing_else_has(self) -> None:
        for what, duration in (("pause", None), ("continue", "1h"), ("info", "1h")):
            with self.assertRaisesRegex(ExitTool, "watcher pause needs a duration such as 30m"):
                self.watcher(what, duration)

    def test_a_duration_that_is_none_is_refused(self) -> None:
        with self.assertRaisesRegex(ExitTool, "30m"):
            self.watcher("pause", "soon")


class DiskTests(SynchronousTestCase):
    """What the jobs that verify disks have found."""

    def followed(self, *found: object) -> Terminal:
        ended = {n: [["success", ["success"], [each]], []] for n, each in enumerate(found, 10)}
        done = [["success", ["success"], [None]], []]
        terminal = Terminal({WaitForJobChange: lambda it: ended.get(it.job_id, done)})
        result = {"jobs": [[True, job] for job in ended]}
        self.code = terminal.call(
            lambda it: actions.follow_disk_verification(it, arguments("verify-disks"), result)
        )
        return terminal

    def test_where_all_is_well_nothing_is_told(self) -> None:
        terminal = self.followed([{}, [], {}], [{}, [], {}])
        self.assertEqual((self.code, terminal.out, terminal.err), (0, "", ""))

    def test_inactive_disks_that_become_active_are_no_failure(self) -> None:
        terminal = self.followed([{}, ["web1", "db1"], {}])
        wanted = [ActivateDisks(instance_name="db1"), ActivateDisks(instance_name="web1")]
        self.assertEqual((self.code, jobs(terminal)), (0, wanted))

    def test_a_node_that_is_silent_is_a_failure(self) -> None:
        terminal = self.followed([{"node2": "it does not answer"}, [], {}])
        told = "Error: node node2 could not be queried: it does not answer\n"
        self.assertEqual((self.code, terminal.err), (1, told))

    def test_each_lost_volume_is_named(self) -> None:
        terminal = self.followed([{}, [], {"db1": [["node1", "vg0/a"], ["node2", "vg0/b"]]}])
        told = "Error: instance db1 has lost disks:\n  node1 vg0/a\n  node2 vg0/b\n"
        self.assertEqual((self.code, terminal.err), (1, told))

    def test_a_job_that_was_rejected_or_failed_does_not_hide_what_others_found(self) -> None:
        failed = [["error", ["error"], [["OpExecError", ["no luck"]]]], []]
        found = [["success", ["success"], [[{}, [], {"db1": [["node1", "vg0/a"]]}]]], []]
        by_job = {8: failed, 9: found}
        terminal = Terminal({WaitForJobChange: lambda it: by_job[it.job_id]})
        result = {"jobs": [[False, "the queue is full"], [True, 8], [True, 9]]}
        code = terminal.call(
            lambda it: actions.follow_disk_verification(it, arguments("verify-disks"), result)
        )
        told = "Failure: a job was rejected: the queue is full\nFailure: job 8: no luck\n"
        self.assertEqual(code, 1)
        self.assertTrue(terminal.err.startswith(f"{told}Error: instance db1"), terminal.err)

    def test_a_finding_of_an_earlier_job_is_not_forgotten(self) -> None:
        self.followed([{"node2": "silent"}, [], {}], [{}, [], {}])
        self.assertEqual(self.code, 1)
        self.followed([{"node2": "silent"}, [], {}], [{}, ["web1"], {}])
        self.assertEqual(self.code, 1)


class SmallTests(SynchronousTestCase):
    def test_only_the_check_of_memory_can_be_skipped(self) -> None:
        self.assertEqual(actions.checks(arguments()), {"skip_checks": []})
        found = actions.checks(arguments(no_n_plus_one=True))
        self.assertEqual(found, {"skip_checks": ["nplusone_mem"]})

    def test_rows_of_a_job_that_changed_nothing_are_none(self) -> None:
        nothing: tuple[Any, ...] = (None, [])
        for result in nothing:
            terminal = Terminal()
            code = terminal.call(partial(actions.show_rows, arguments=arguments(), result=result))
            self.assertEqual((code, terminal.out), (0, ""))

    def test_a_node_without_a_cluster_has_no_master(self) -> None:
        terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))
        error = self.assertRaises(
            ExitTool, terminal.call, lambda it: actions.getmaster(it, arguments())
        )
        self.assertEqual(error.code, NOT_IN_CLUSTER)

    def test_the_specs_of_the_policy_are_a_command(self) -> None:
        terminal = Terminal(answers_about(a_cluster()))
        self.assertEqual(terminal.run(GNT_CLUSTER, "show-ispecs-cmd"), 0)
        first, *options, last = terminal.out.split()[1:]
        self.assertEqual((first, last), ("init", "cluster.example.com"))
        names = [each.partition("=")[0] for each in options]
        self.assertEqual(names, ["--ipolicy-std-specs", "--ipolicy-bounds-specs"])
