# SPDX-License-Identifier: BSD-2-Clause
"""A cluster begins, fails over and ends when a person has confirmed what may be lost."""

from __future__ import annotations

import os
from typing import Any

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.membership import confirm_down, destroy, start_commands
from ganeti.cli.session import FAILURE, NOT_CONFIRMED, ExitTool
from ganeti.luxi.methods import ConfirmNodesDown
from ganeti.opcodes.cluster import DestroyCluster
from ganeti.rpc.quorum import Ballot, VoterState
from ganeti.schema.records import replace
from tests.bootstrap.host import Host
from tests.bootstrap.node_daemons import NodeDaemons
from tests.cli.terminal import Terminal, arguments


class MembershipCase(Host):
    def setUp(self) -> None:
        super().setUp()
        self.terminal = Terminal({ConfirmNodesDown: lambda _: None}, paths=self.paths)

    def call(self, action: Any, **values: Any) -> int:
        given = arguments(**values)
        code: int = self.terminal.call(lambda session: action(session, given))
        return code


class DownTests(MembershipCase):
    def test_the_question_says_what_may_be_lost(self) -> None:
        self.terminal.answers = ["no"]
        with self.assertRaisesRegex(ExitTool, "not confirmed"):
            self.call(confirm_down, names=["node2", "node3"])
        [question] = self.terminal.questions
        self.assertIn("continue without the votes of node2, node3.", question)
        self.assertIn("instances may run twice", question)
        self.assertEqual(self.terminal.asked(), [])

    def test_the_master_continues_when_that_is_confirmed(self) -> None:
        self.assertEqual(self.call(confirm_down, names=["node2"], yes_do_it=True), 0)
        self.assertEqual(self.terminal.asked(), [ConfirmNodesDown(names=("node2",))])
        self.assertEqual(self.terminal.questions, [])


class StartTests(MembershipCase):
    def test_the_daemons_are_started_by_systemd_or_one_by_one(self) -> None:
        daemons = ("ganeti-noded", "ganeti-masterd", "ganeti-rapi")
        self.assertEqual(start_commands("", "node1", systemd=False), daemons)
        found = start_commands("", "node1", systemd=True)
        self.assertEqual(found, ("systemctl restart ganeti",))

    def test_those_of_a_virtual_cluster_are_told_where_it_is(self) -> None:
        first, *_ = start_commands("/srv/trial", "node1", systemd=False)
        self.assertEqual(first, "GANETI_ROOTDIR=/srv/trial GANETI_HOSTNAME=node1 ganeti-noded")


class DestroyTests(MembershipCase):
    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()

    def test_it_must_be_confirmed_by_an_option(self) -> None:
        with self.assertRaisesRegex(ExitTool, "add --yes-do-it to confirm"):
            self.call(destroy)
        self.assertEqual(self.terminal.asked(), [])
        self.assertTrue(os.path.exists(self.paths.config_file))

    def test_the_job_is_waited_for_whatever_is_said(self) -> None:
        self.assertEqual(self.call(destroy, yes_do_it=True, submit=True), 0)
        self.assertEqual(replace(self.terminal.job(), reason=()), DestroyCluster())
        self.assertFalse(os.path.exists(self.paths.config_file))
        self.assertTrue(self.terminal.out.endswith("join or initialize another one.\n"))

    def test_a_host_of_a_cluster_begins_no_other(self) -> None:
        before = self.read(self.paths.config_file)
        words = ("--master-address", "192.0.2.10", "--primary-ip", "192.0.2.1", "cluster2")
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "init", *words), FAILURE)
        self.assertEqual(self.read(self.paths.config_file), before)


class FailoverTests(MembershipCase):
    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.port = 1

    def serve(self) -> None:
        """Start a node daemon on this node."""
        ballot = Ballot(granted=False, state=VoterState(term=7))
        daemons = NodeDaemons(self, self.paths)
        daemons.serve("node1", {"vote_info": lambda _: ballot})
        self.port = daemons.port

    def failover(self, *words: str) -> int:
        port = ("--node-port", str(self.port))
        return self.terminal.run(GNT_CLUSTER, "master-failover", *port, *words)

    def test_without_a_vote_it_must_be_confirmed(self) -> None:
        self.serve()
        for option in ("--no-voting", "--accept-loss"):
            self.terminal.answers = ["no"]
            self.assertEqual(self.failover(option), FAILURE)
            *_, question = self.terminal.questions
            self.assertIn("Changes that another master has acknowledged may be lost", question)
            self.assertIn("not confirmed", self.terminal.err)

    def test_without_a_terminal_the_option_is_named(self) -> None:
        self.serve()
        self.assertEqual(self.failover("--no-voting"), NOT_CONFIRMED)
        self.assertIn("use --yes-do-it", self.terminal.err)

    def test_with_a_vote_nothing_is_asked(self) -> None:
        self.assertEqual(self.failover(), FAILURE)
        self.assertEqual(self.terminal.questions, [])
        self.assertIn("the node daemon of this node must be running", self.terminal.err)
