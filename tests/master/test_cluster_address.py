# SPDX-License-Identifier: BSD-2-Clause
"""The master holds the address of the cluster as long as it has the lease."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.master.cluster_address import LIFETIME, ClusterAddress
from ganeti.model.node import Node
from ganeti.operations.cluster.address import find_address
from ganeti.rpc.call import Call
from ganeti.rpc.master_address import HoldMasterAddress, ReleaseMasterAddress
from ganeti.testing.builders import a_cluster

WHERE: dict[str, Any] = {"address": "192.0.2.200", "netmask": 32, "device": "br0"}


class ClusterAddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.use("192.0.2.200")
        self.holds = self.free = True
        self.fails = False
        self.asked: list[tuple[str, Call[Any]]] = []
        self.address = ClusterAddress(self, lambda: self.state, lambda: self.holds)  # type: ignore[arg-type]  # asks one node at a time

    def use(self, address: str) -> None:
        self.state = a_cluster(
            nodes=["node1", "node2"],
            master_ip=address,
            master_netmask=32,
            master_netdev="br0",
        )

    async def ask(self, node: Node, call: Call[Any]) -> bool:
        self.asked.append((node.name, call))
        if self.fails:
            raise Failed("no device br0")
        return self.free

    def renew(self) -> None:
        self.successResultOf(self.address.renew())

    def release(self) -> list[Call[Any]]:
        """What is asked for when the master stops."""
        self.asked.clear()
        self.successResultOf(self.address.release_address())
        return [call for _, call in self.asked]

    def test_the_masters_host_has_it_for_a_little_longer_each_time(self) -> None:
        self.renew()
        self.renew()
        hold = HoldMasterAddress(lifetime=LIFETIME, **WHERE)
        self.assertEqual(self.asked, [("node1", hold)] * 2)

    def test_without_the_lease_it_is_not_renewed_and_goes_by_itself(self) -> None:
        self.renew()
        self.holds = False
        self.asked.clear()
        self.renew()
        self.assertEqual((self.asked, self.release()), ([], []))

    def test_a_master_that_stops_gives_it_up(self) -> None:
        self.renew()
        self.assertEqual(self.release(), [ReleaseMasterAddress(**WHERE)])
        self.assertEqual(self.release(), [])

    def test_what_was_not_taken_is_not_given_up(self) -> None:
        self.free = False
        self.renew()
        self.assertEqual(self.release(), [])

    def test_another_address_replaces_it(self) -> None:
        self.renew()
        self.use("192.0.2.201")
        self.asked.clear()
        self.renew()
        wires = [call.wire for _, call in self.asked]
        self.assertEqual(wires, ["master_address_release", "master_address_hold"])

    def test_a_failure_is_reported_and_a_stop_goes_on(self) -> None:
        self.renew()
        self.fails = True
        self.failureResultOf(self.address.renew(), Failed)
        self.assertEqual(len(self.release()), 1)

    def test_addresses_of_nodes_and_of_the_loopback_device_do_not_move(self) -> None:
        for address in ("192.0.2.2", "127.0.0.1", "::1"):
            self.use(address)
            self.assertIsNone(find_address(self.state))

    def test_it_is_not_renewed_while_it_is_deactivated(self) -> None:
        self.renew()
        self.asked.clear()
        self.successResultOf(self.address.deactivate_address())
        self.renew()
        self.assertEqual([call for _, call in self.asked], [ReleaseMasterAddress(**WHERE)])
        self.successResultOf(self.address.activate_address())
        self.assertEqual(self.asked[-1][1].wire, "master_address_hold")

    def test_an_activation_whose_first_attempt_fails_is_tried_again(self) -> None:
        self.successResultOf(self.address.deactivate_address())
        self.fails = True
        self.failureResultOf(self.address.activate_address(), Failed)
        self.fails = False
        self.asked.clear()
        self.renew()
        self.assertEqual(self.asked[-1][1].wire, "master_address_hold")

    def test_the_script_of_the_administrator_may_configure_it(self) -> None:
        self.state = a_cluster(
            nodes=["node1"], master_ip="192.0.2.200", use_external_mip_script=True
        )
        self.renew()
        call = self.asked[-1][1]
        assert isinstance(call, HoldMasterAddress)
        self.assertTrue(call.by_script)
        self.assertIn(True, [getattr(each, "by_script", None) for each in self.release()])
