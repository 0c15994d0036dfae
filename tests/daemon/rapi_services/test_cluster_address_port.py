# SPDX-License-Identifier: BSD-2-Clause
"""The remote API listens on the address of the cluster, wherever that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import succeed
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from ganeti.daemon.rapi_services.cluster_address_port import (
    ClusterAddressPort,
    find_cluster_address,
    open_free,
)
from ganeti.paths import Paths

reactor: Any = installed


class Port:
    """A port that records when it is closed."""

    def __init__(self, log: list[str], address: str) -> None:
        self._log, self._address = log, address

    def stopListening(self) -> Any:
        self._log.append(f"closed {self._address}")
        return succeed(None)


class FollowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.address: str | None = "192.0.2.200"
        self.log: list[str] = []
        self.port = ClusterAddressPort(lambda: self.address, self.open)

    def open(self, address: str) -> Any:
        if address == "192.0.2.255":
            raise OSError(99, "no such address")
        self.log.append(f"opened {address}")
        return Port(self.log, address)

    def update(self, address: str | None) -> None:
        self.address = address
        self.successResultOf(self.port.update())

    def test_it_is_opened_once(self) -> None:
        self.update("192.0.2.200")
        self.update("192.0.2.200")
        self.assertEqual(self.log, ["opened 192.0.2.200"])

    def test_it_follows_another_address(self) -> None:
        self.update("192.0.2.200")
        self.update("192.0.2.201")
        self.update(None)
        self.assertEqual(
            self.log,
            [
                *("opened 192.0.2.200", "closed 192.0.2.200"),
                *("opened 192.0.2.201", "closed 192.0.2.201"),
            ],
        )

    def test_an_address_that_cannot_be_opened_does_not_end_the_daemon(self) -> None:
        self.update("192.0.2.255")
        self.update("192.0.2.200")
        self.assertEqual(self.log, ["opened 192.0.2.200"])


class FindTests(SynchronousTestCase):
    def find(self, master_ip: str) -> str | None:
        root = Path(self.mktemp())
        paths = Paths(str(root))
        os.makedirs(paths.data)
        Path(f"{paths.data}/ssconf_master_ip").write_text(f"{master_ip}\n")
        Path(f"{paths.data}/ssconf_node_primary_ips").write_text("node1 192.0.2.1\n")
        Path(f"{paths.data}/ssconf_node_secondary_ips").write_text("node1 198.51.100.1\n")
        return find_cluster_address(paths)

    def test_an_address_of_its_own_is_found(self) -> None:
        self.assertEqual(self.find("192.0.2.200"), "192.0.2.200")

    def test_those_of_nodes_and_of_the_loopback_device_are_not(self) -> None:
        for address in ("192.0.2.1", "198.51.100.1", "127.0.0.5", ""):
            self.assertIsNone(self.find(address), address)

    def test_without_files_there_is_none(self) -> None:
        self.assertIsNone(find_cluster_address(Paths(self.mktemp())))


class OpenTests(TestCase):
    async def test_the_port_of_an_address_that_this_host_does_not_have_is_opened(self) -> None:
        prepared: list[Any] = []
        port: Any = open_free(reactor, 0, Factory(), prepared.append)("203.0.113.77")
        self.assertEqual((port.getHost().host, prepared), ("203.0.113.77", [port]))
        await port.stopListening()
