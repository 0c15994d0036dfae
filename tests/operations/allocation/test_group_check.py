# SPDX-License-Identifier: BSD-2-Clause
"""The check that an instance can move to a node of another node group."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.disk import Template
from ganeti.operations.allocation.group_check import require_group
from ganeti.operations.instance.context import standing
from ganeti.testing.builders import (
    a_cluster,
    a_disk,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
    uuid_of,
)

LAN = uuid_of("network", "lan")
CONNECTED = {LAN: {"mode": "bridged", "link": "br0"}}
PLAIN_ONLY = {"disk-templates": ["plain"]}


class GroupCheckTests(SynchronousTestCase):
    def cluster(self, **far: object) -> ClusterState:
        """Return an instance with shared disks in the network lan, and node3 of the group far."""
        nic = a_nic(network=LAN, ip="203.0.113.2")
        disk = a_disk(template=Template.SHAREDFILE)
        groups = [a_group(networks=CONNECTED, ipolicy=PLAIN_ONLY), a_group("far", **far)]
        return a_cluster(
            nodes=["node1", "node2", a_node("node3", group="far")],
            groups=groups,
            networks=[a_network("lan", reservations="00100000")],
            instances=[an_instance(disks=[disk], nics=(nic,))],
        )

    def check(self, state: ClusterState, target: str, *, ignore_ipolicy: bool = False) -> None:
        subject = standing(state.instance("web1"), state)
        node = state.node(target)
        require_group(node, subject, subject.disks, state, ignore_ipolicy=ignore_ipolicy)

    def test_within_its_group_an_instance_moves_whatever_the_policy_says_by_now(self) -> None:
        self.check(self.cluster(), "node2")

    def test_a_group_that_lacks_a_network_of_the_instance_is_refused_in_any_case(self) -> None:
        words = "network lan is not connected to node group far; .* gnt-network connect lan"
        for ignore in (False, True):
            with self.assertRaisesRegex(Refused, words):
                self.check(self.cluster(), "node3", ignore_ipolicy=ignore)

    def test_the_addresses_of_the_instance_itself_are_no_conflict(self) -> None:
        self.check(self.cluster(networks=CONNECTED), "node3")

    def test_the_policy_of_the_other_group_can_be_ignored(self) -> None:
        state = self.cluster(networks=CONNECTED, ipolicy=PLAIN_ONLY)
        with self.assertRaisesRegex(Refused, "disk template sharedfile is not allowed"):
            self.check(state, "node3")
        self.check(state, "node3", ignore_ipolicy=True)
