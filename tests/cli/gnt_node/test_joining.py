# SPDX-License-Identifier: BSD-2-Clause
"""A node is invited by a token, waited for, and added at its address."""

from __future__ import annotations

import socket
from typing import Any

from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.cli.gnt_node.joining import JOIN_TIMEOUT, PAUSE
from ganeti.cli.session import NODE_SETUP
from ganeti.luxi.methods import Query
from ganeti.opcodes.node import AddNode
from ganeti.pki.enrolment import TOKEN_VALIDITY, read_token
from tests.bootstrap.host import Host
from tests.cli.terminal import Terminal, answer


class JoinTests(Host):
    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.terminal = Terminal({Query: answer({"pip": "text"}, ["127.0.0.1"])}, paths=self.paths)
        self.daemon = socket.socket()
        self.addCleanup(self.daemon.close)
        self.daemon.bind(("127.0.0.1", 0))
        self.port = str(self.daemon.getsockname()[1])

    def add(self, *words: str) -> int:
        return self.terminal.run(GNT_NODE, "add", "--port", self.port, *words)

    def test_a_token_is_for_the_name_and_the_address(self) -> None:
        self.assertEqual(self.add("--token-only", "--primary-ip", "127.0.0.1", "node2"), 0)
        self.assertEqual(read_token(self.terminal.out).names, ("node2", "127.0.0.1"))

    def test_a_token_is_not_shown_as_an_argument(self) -> None:
        self.terminal.sleeping = self.daemon.listen
        self.assertEqual(self.add("--primary-ip", "127.0.0.1", "node2"), 0, self.terminal.err)
        [line] = [line for line in self.terminal.out.splitlines() if "echo" in line]
        echo, _, command = line.partition(" | ")
        self.assertTrue(read_token(echo.split()[1]).names)
        place = "GANETI_ROOTDIR=FOLDER GANETI_HOSTNAME=node2"
        self.assertEqual(command, f"{place} ganeti-noded --join -")

    def test_one_that_joins_again_is_told_so_by_its_command(self) -> None:
        self.terminal.sleeping = self.daemon.listen
        self.assertEqual(self.add("--readd", "node2"), 0, self.terminal.err)
        self.assertIn("ganeti-noded --join - --rejoin\n", self.terminal.out)
        job: Any = self.terminal.job()
        self.assertEqual((job.node_name, job.primary_ip, job.readd), ("node2", "127.0.0.1", True))

    def test_the_wait_is_as_long_as_the_token_is_valid(self) -> None:
        self.assertEqual(JOIN_TIMEOUT, TOKEN_VALIDITY)

    def test_a_name_that_is_an_address_is_refused(self) -> None:
        for name in ("192.0.2.1", "1.5", "node_2!"):
            self.assertEqual(self.add("--primary-ip", "127.0.0.1", name), 1, name)
        self.assertEqual(self.terminal.asked(), [])

    def test_a_node_that_does_not_come_is_not_waited_for_longer_than_its_token(self) -> None:
        self.assertEqual(self.add("--primary-ip", "127.0.0.1", "node9"), NODE_SETUP)
        self.assertEqual(sum(self.terminal.slept), JOIN_TIMEOUT + PAUSE)
        self.assertIn("no node daemon answered at 127.0.0.1 port", self.terminal.err)
        self.assertEqual(self.terminal.master.memory.jobs, {})

    def test_a_known_one_is_added_again_at_its_address(self) -> None:
        self.terminal.canned[Query] = answer({"pip": "text"}, ["127.0.0.2"])
        self.assertEqual(self.add("--readd", "--token-only", "node2"), 0, self.terminal.err)
        self.assertEqual(read_token(self.terminal.out).names, ("node2", "127.0.0.2"))
        self.assertEqual(self.add("--readd", "--joined", "node2"), NODE_SETUP)
        self.assertIn("no node daemon answers at 127.0.0.2 port", self.terminal.err)

    def test_an_unknown_one_cannot_be_added_again(self) -> None:
        self.terminal.canned[Query] = answer({"pip": "text"})
        self.assertEqual(self.add("--readd", "node9"), 1)
        self.assertIn("to add it as a new node, omit --readd", self.terminal.err)

    def test_a_witness_only_votes(self) -> None:
        self.daemon.listen()
        self.assertEqual(self.add("--primary-ip", "127.0.0.1", "--witness", "node9"), 0)
        job: Any = self.terminal.job()
        self.assertIsInstance(job, AddNode)
        self.assertEqual((job.vm_capable, job.master_capable), (False, False))
