# SPDX-License-Identifier: BSD-2-Clause
"""The address of the cluster is turned on and off by hand."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.opcodes.cluster import ActivateMasterIP, DeactivateMasterIP
from ganeti.operations.cluster.address import (
    AddressPlan,
    activation_hooks,
    deactivation_hooks,
    find_address,
    plan,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.master_address import ReleaseMasterAddress
from ganeti.testing.builders import a_cluster
from tests.operations.whole import WholeCluster

ADDRESS = ReleaseMasterAddress(address="192.0.2.200", netmask=32, device="br0")


def a_state(**over: Any) -> Any:
    chosen = {"master_ip": "192.0.2.200", "master_netmask": 32, "master_netdev": "br0", **over}
    return a_cluster(nodes=["node1", "node2"], **chosen)


class ClusterAddressTests(SynchronousTestCase):
    def test_it_is_off_until_it_is_activated_again(self) -> None:
        whole = WholeCluster(a_state())
        self.successResultOf(whole.do("OP_CLUSTER_DEACTIVATE_MASTER_IP"))
        self.assertFalse(whole.memory.address.active)
        self.assertIn("gets it back by gnt-cluster activate-master-ip", whole.said)
        self.successResultOf(whole.do("OP_CLUSTER_ACTIVATE_MASTER_IP"))
        self.assertTrue(whole.memory.address.active)
        self.assertIn("the master has the address 192.0.2.200/32 on br0", whole.said)

    def test_an_address_that_does_not_move_cannot_be_turned_off(self) -> None:
        for address in ("192.0.2.1", "127.0.0.1"):
            state = a_state(master_ip=address)
            for op in (ActivateMasterIP(), DeactivateMasterIP()):
                with self.assertRaisesRegex(Refused, "belongs to a node or .* gnt-cluster rename"):
                    plan(op, state, NodeAnswers())

    def test_the_script_of_the_administrator_is_asked_for(self) -> None:
        found = find_address(a_state(use_external_mip_script=True))
        assert found is not None
        self.assertTrue(found.by_script)
        self.assertEqual(find_address(a_state()), ADDRESS)

    def test_hooks_on_the_master_know_the_address(self) -> None:
        state = a_state()
        made = AddressPlan(ADDRESS, state.cluster.master_node)
        up, down = activation_hooks(made, state), deactivation_hooks(made, state)
        self.assertEqual((up.directory, down.directory), ("master-ip-turnup", "master-ip-turndown"))
        self.assertEqual(up.before, (state.cluster.master_node,))
        self.assertEqual(
            up.environment,
            {
                "CLUSTER_IP_VERSION": "4",
                "MASTER_IP": "192.0.2.200",
                "MASTER_NETDEV": "br0",
                "MASTER_NETMASK": "32",
            },
        )
