# SPDX-License-Identifier: BSD-2-Clause
"""Hooks of a node that joins or leaves run on the others."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.operations.node.node_hooks import membership_hooks
from ganeti.testing.builders import a_cluster, a_node

NODE = a_node("node2", secondary_ip="198.51.100.2", vm_capable=False)
NODE1, NODE3 = (a_node(name).uuid for name in ("node1", "node3"))


class MembershipTests(SynchronousTestCase):
    def test_they_run_on_all_other_nodes(self) -> None:
        state = a_cluster(nodes=["node1", NODE, "node3"])
        call = membership_hooks("node-remove", NODE, state)
        self.assertCountEqual(call.before, [NODE1, NODE3])
        self.assertEqual(call.after, call.before)

    def test_a_node_that_is_not_in_the_cluster_yet_can_run_the_post_hooks(self) -> None:
        state = a_cluster(nodes=["node1"])
        call = membership_hooks("node-add", NODE, state, after=[NODE.uuid])
        self.assertEqual((call.before, call.after), ([NODE1], [NODE1, NODE.uuid]))

    def test_they_get_the_addresses_and_abilities_of_the_node(self) -> None:
        call = membership_hooks("node-add", NODE, a_cluster())
        expected = {
            "OP_TARGET": "node2",
            "NODE_NAME": "node2",
            "NODE_PIP": "192.0.2.2",
            "NODE_SIP": "198.51.100.2",
            "MASTER_CAPABLE": "True",
            "VM_CAPABLE": "False",
        }
        self.assertEqual(call.environment, expected)
        self.assertEqual((call.directory, call.object_type), ("node-add", "NODE"))
