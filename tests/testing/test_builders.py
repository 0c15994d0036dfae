# SPDX-License-Identifier: BSD-2-Clause
"""What tests are built from refers to each other by name and is the same in every run."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.disk import Template
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of


class BuildersTests(SynchronousTestCase):
    def test_the_first_node_is_the_master(self) -> None:
        state = a_cluster(nodes=[a_node("node7"), "node2"])
        self.assertEqual(state.master, a_node("node7"))

    def test_an_instance_brings_its_disks_in_order(self) -> None:
        disks = [a_disk("a", size=10), a_disk("b", size=20)]
        state = a_cluster(instances=[an_instance("web1", disks=disks)])
        found = state.get_disks(state.instance("web1"))
        self.assertEqual([(d.size, d.iv_name) for d in found], [(10, "disk/0"), (20, "disk/1")])

    def test_a_mirrored_disk_makes_the_other_node_a_secondary(self) -> None:
        disk = a_disk("a", Template.DRBD, nodes=("node1", "node2"))
        state = a_cluster(nodes=["node1", "node2"], instances=[an_instance("web1", disks=[disk])])
        instance = state.instance("web1")
        self.assertEqual(state.get_secondaries(instance), (uuid_of("node", "node2"),))
        self.assertEqual(list(state.list_secondary_instances(state.node("node2"))), [instance])

    def test_the_same_names_make_the_same_cluster(self) -> None:
        self.assertEqual(a_cluster(instances=["web1"]), a_cluster(instances=["web1"]))
