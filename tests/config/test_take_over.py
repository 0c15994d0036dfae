# SPDX-License-Identifier: BSD-2-Clause
"""The configuration at a take-over, and on the way back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.invariants import verify
from ganeti.config.state import ClusterState
from ganeti.config.take_over import give_back, take_over
from ganeti.errors import Refused
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance, uuid_of

BEFORE = a_cluster(
    nodes=["node1", "node2", a_node("node3", drained=True)],
    candidate_certs={uuid_of("node", name): name for name in ("node1", "node2")},
    enabled_hypervisors=("xen-pvm", "kvm"),
)


def taken(state: ClusterState = BEFORE) -> ClusterState:
    return take_over(state, certificate="0123", authority="PEM", hypervisors=("kvm", "fake"))


class TakeOverTests(SynchronousTestCase):
    def test_the_master_begins_alone_with_a_valid_configuration(self) -> None:
        state = taken()
        self.assertEqual(list(verify(state)), [])
        online = [node.name for node in state.nodes.values() if not node.offline]
        self.assertEqual(online, ["node1"])
        self.assertEqual(state.certificates[state.master.uuid].fingerprints, ("0123",))
        self.assertEqual(state.cluster.candidate_certs, {state.master.uuid: "0123"})

    def test_hypervisors_without_a_driver_are_disabled(self) -> None:
        self.assertEqual(taken().cluster.enabled_hypervisors, ("kvm",))

    def test_it_is_a_later_configuration(self) -> None:
        self.assertGreater(taken().serial_no, BEFORE.serial_no)

    def test_on_the_way_back_all_is_as_before(self) -> None:
        after = give_back(taken(), BEFORE)
        self.assertEqual(after.nodes, BEFORE.nodes)
        serial = after.cluster.serial_no
        self.assertEqual(after.cluster, replace(BEFORE.cluster, serial_no=serial))
        self.assertGreater(after.serial_no, taken().serial_no)

    def test_nodes_that_are_new_stay(self) -> None:
        after = give_back(taken().put(a_node("node4", offline=True)), BEFORE)
        self.assertEqual(len(after.nodes), 4)

    def test_certificates_of_nodes_that_were_removed_do_not_come_back(self) -> None:
        state = taken()
        after = give_back(state.remove(state.nodes[uuid_of("node", "node2")]), BEFORE)
        self.assertEqual(list(after.cluster.candidate_certs), [uuid_of("node", "node1")])

    def test_a_master_that_ganeti_does_not_know_as_candidate_is_refused(self) -> None:
        state = taken()
        moved = state.put(replace(state.cluster, master_node=uuid_of("node", "node3")))
        with self.assertRaisesRegex(Refused, "no certificate of node3 as a master candidate"):
            give_back(moved, BEFORE)

    def test_disks_in_images_which_ganeti_would_damage_are_named(self) -> None:
        image = a_disk("d", params={"format": "qcow2"})
        for disk, refused in ((image, True), (replace(image, params={}), False)):
            before = a_cluster(
                nodes=["node1"],
                instances=[an_instance("web1", disks=[disk])],
                candidate_certs={uuid_of("node", "node1"): "node1"},
            )
            if refused:
                with self.assertRaisesRegex(Refused, "qcow2 images.*: web1"):
                    give_back(taken(before), before)
            else:
                give_back(taken(before), before)
