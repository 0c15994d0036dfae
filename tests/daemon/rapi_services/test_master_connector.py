# SPDX-License-Identifier: BSD-2-Clause
"""The remote API reaches the master from every candidate, and waits for one during a failover."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.rapi_services.master_connector import (
    RETRY_DELAY,
    WAIT,
    MasterConnector,
    is_candidate,
    read_master,
)
from ganeti.errors import Failed
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.paths import Paths


class MasterConnectorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.master = "node1"
        self.serving = {"node1"}
        self.used: list[str] = []
        self.connect = MasterConnector(
            self.local, self.tunnel, lambda: self.master, self.clock, name="node1"
        )

    async def local(self, protocol: Protocol) -> None:
        if "node1" not in self.serving:
            raise MasterNotRunning("the master daemon is not running")
        self.used.append("socket")

    async def tunnel(self, node: str, protocol: Protocol) -> None:
        if node not in self.serving:
            raise Failed(f"node {node}: connection refused")
        self.used.append(node)

    def ask(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self.connect(Protocol()))

    def wait(self, seconds: float) -> None:
        self.clock.pump([RETRY_DELAY] * int(seconds / RETRY_DELAY))

    def test_the_master_is_reached_by_its_socket(self) -> None:
        self.successResultOf(self.ask())
        self.assertEqual(self.used, ["socket"])

    def test_another_master_is_reached_through_its_node_daemon(self) -> None:
        self.master, self.serving = "node2", {"node1", "node2"}
        self.assertEqual(self.successResultOf(self.ask()), "node2")
        self.assertEqual(self.used, ["node2"])

    def test_a_request_waits_for_the_next_master(self) -> None:
        self.serving.clear()
        asked = self.ask()
        self.wait(5)
        self.assertNoResult(asked)
        self.master, self.serving = "node3", {"node3"}
        self.wait(1)
        self.successResultOf(asked)
        self.assertEqual(self.used, ["node3"])

    def test_the_wait_is_bounded_and_its_end_names_the_master(self) -> None:
        self.master = "node2"
        asked = self.ask()
        self.wait(WAIT + 1)
        error = self.failureResultOf(asked, MasterNotRunning).value
        self.assertIn("on node2 cannot be reached: node node2: connection refused", str(error))

    def test_those_that_come_later_do_not_wait_for_longer(self) -> None:
        self.serving.clear()
        first = self.ask()
        self.wait(WAIT - 1)
        second = self.ask()
        self.wait(1.5)
        self.failureResultOf(first, MasterNotRunning)
        self.failureResultOf(second, MasterNotRunning)
        self.failureResultOf(self.ask(), MasterNotRunning)

    def test_the_next_outage_is_waited_for_again(self) -> None:
        self.test_the_wait_is_bounded_and_its_end_names_the_master()
        self.clock.advance(WAIT + 1)
        asked = self.ask()
        self.assertNoResult(asked)
        self.serving.add("node2")
        self.wait(1)
        self.successResultOf(asked)

    def test_a_cancelled_request_waits_no_more(self) -> None:
        self.serving.clear()
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class CandidateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        os.makedirs(self.paths.data)

    def write(self, key: str, text: str) -> None:
        Path(f"{self.paths.data}/ssconf_{key}").write_text(text)

    def test_a_node_that_knows_nothing_yet_may_be_the_first_one(self) -> None:
        self.assertTrue(is_candidate(self.paths, "node1"))
        self.assertEqual(read_master(self.paths), "")

    def test_candidates_and_the_master_serve_clients_and_others_do_not(self) -> None:
        self.write("master_candidates", "node1\nnode2\n")
        self.write("master_node", "node4\n")
        found = [name for name in ("node1", "node2", "node3", "node4") if self.serves(name)]
        self.assertEqual(found, ["node1", "node2", "node4"])

    def serves(self, name: str) -> bool:
        return is_candidate(self.paths, name)
