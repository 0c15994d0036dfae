# SPDX-License-Identifier: BSD-2-Clause
"""Clients of the remote API keep their URL when the master role moves to another node."""

from __future__ import annotations

import json
import signal
import ssl
import threading
from base64 import b64encode
from http.client import HTTPResponse, HTTPSConnection
from typing import Any

from ganeti.bootstrap.daemons import MASTERD, NODED, RAPI
from ganeti.system.pidfile import holder
from tests.system.etcd_cluster import EtcdCluster
from tests.system.running import eventually
from tools.quickstart.founding import RAPI_USER


class Client:
    """A client that uses one URL, that of a node, and one connection."""

    def __init__(self, test: EtcdCluster, number: int) -> None:
        cluster = test.running.cluster
        context = ssl.create_default_context(cafile=cluster.master.paths.authority)
        address = test.node(number).address
        self.connection = HTTPSConnection(address, 5080, context=context, timeout=60)
        login = f"{RAPI_USER}:{cluster.password_file.read_text().strip()}".encode()
        self._headers = {
            "Authorization": f"Basic {b64encode(login).decode()}",
            "Content-Type": "application/json",
        }

    def open(self, path: str, method: str = "GET") -> HTTPResponse:
        self.connection.request(method, path, headers=self._headers)
        return self.connection.getresponse()

    def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        answer = self.open(path, method)
        return answer.status, json.loads(answer.read())


class CandidateApiTests(EtcdCluster):
    def setUp(self) -> None:
        super().setUp()
        for number in (2, 3):
            eventually(lambda number=number: holder(self.pid_file(number)))  # type: ignore[misc]
            # With its name, which the certificate gets when the candidate is known.
            eventually(lambda number=number: self.answers(number))  # type: ignore[misc]

    def pid_file(self, number: int) -> str:
        return f"{self.node(number).paths.run}/{RAPI}.pid"

    def answers(self, number: int) -> bool:
        try:
            return Client(self, number).ask("/2/info")[0] == 200
        except OSError:
            return False

    def kill_host(self, number: int) -> None:
        for daemon in (NODED, RAPI, MASTERD):
            self.send(number, daemon, signal.SIGKILL)
        self.kill_member(number)

    def test_every_candidate_answers_for_the_master(self) -> None:
        for number in (1, 2, 3):
            status, info = Client(self, number).ask("/2/info")
            self.assertEqual((status, info["master"]), (200, "node1.trial"))
        status, job = Client(self, 3).ask("/2/tags?tag=from-node3", "PUT")
        self.assertEqual(status, 200, job)
        eventually(lambda: self.status(1, job) == "success")
        self.assertIn("from-node3", self.tags(1))

    def test_a_client_keeps_its_connection_through_an_automatic_failover(self) -> None:
        client = Client(self, 3)
        self.assertEqual(client.ask("/2/info")[0], 200)
        used = client.connection.sock
        self.kill_host(1)
        # It waits for the next master.
        status, info = client.ask("/2/info")
        self.assertEqual(status, 200, info)
        self.assertIn(info["master"], ("node2.trial", "node3.trial"))
        self.assertEqual(client.ask("/2/tags?tag=after", "PUT")[0], 200)
        self.assertIs(client.connection.sock, used)

    def test_a_stream_of_events_goes_on_after_a_failover(self) -> None:
        stream = Client(self, 3).open("/2/events")
        self.assertEqual(stream.status, 200)
        seen: list[bytes] = []
        reader = threading.Thread(target=self.read, args=(stream, seen), daemon=True)
        reader.start()
        self.kill_host(1)
        self.assertEqual(Client(self, 3).ask("/2/tags?tag=after", "PUT")[0], 200)
        reader.join(60)
        self.assertIn(b"after", seen[-1])

    def read(self, stream: HTTPResponse, seen: list[bytes]) -> None:
        while b"after" not in (line := stream.readline()):
            seen.append(line)
        seen.append(line)

    def test_without_a_master_a_client_is_told_when_to_ask_again(self) -> None:
        for number in (1, 2):
            self.kill_host(number)
        answer = Client(self, 3).open("/2/info")
        self.assertEqual((answer.status, answer.getheader("Retry-After")), (503, "5"))

    def test_the_api_of_the_old_master_stays_after_a_planned_failover(self) -> None:
        client = Client(self, 1)
        self.assertEqual(client.ask("/2/info")[1]["master"], "node1.trial")
        done = self.tool(2, "master-failover")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        eventually(lambda: client.ask("/2/info")[1].get("master") == "node2.trial")
        self.assertEqual(client.ask("/2/tags?tag=after", "PUT")[0], 200)

    def test_a_node_that_is_no_candidate_any_more_stops_serving(self) -> None:
        done = self.tool(1, "modify", "--candidate-pool-size", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        modify = ["node", "modify", "--master-candidate=no", "--force", "node3.trial"]
        done = self.running.tool(*modify)
        self.assertEqual(done.returncode, 0, done.stderr)
        eventually(lambda: holder(self.pid_file(3)) is None)
        self.assertTrue(self.answers(2))
