# SPDX-License-Identifier: BSD-2-Clause
"""Reserved instances are told by the command that creates them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.reservations import separate_reservations, with_reservations

NODES = {"n1": {"name": "node1"}, "n2": {"name": "node2"}}


def document(**instance: object) -> dict[str, Any]:
    held = {"name": "new1", "forthcoming": True, "uuid": "i1", **instance}
    return {
        "instances": {"i1": held, "i2": {"name": "web1", "uuid": "i2"}},
        "disks": {
            "d1": {"forthcoming": True, "size": 1024, "dev_type": "drbd", "nodes": ["n1", "n2"]},
            "d2": {"size": 5},
        },
        "nodes": NODES,
        "networks": {"net": {"name": "lan"}},
    }


class ReservationTests(SynchronousTestCase):
    def command(self, **instance: object) -> str:
        [found] = separate_reservations(document(**instance))[1]
        return str(found)

    def test_the_rest_of_the_configuration_stays(self) -> None:
        kept, found = separate_reservations(document())
        self.assertEqual((list(kept["instances"]), list(kept["disks"])), (["i2"], ["d2"]))
        self.assertEqual([each.name for each in found], ["new1"])

    def test_the_command_has_what_was_reserved(self) -> None:
        nic: dict[str, Any] = {
            "mac": "aa:00:00:00:00:01",
            "ip": None,
            "network": "net",
            "nicparams": {},
        }
        self.assertEqual(
            self.command(
                disks=["d1"],
                os="noop",
                hypervisor="kvm",
                hvparams={"kernel_path": "/vmlinuz"},
                beparams={"vcpus": 2},
                nics=[nic],
                primary_node="n1",
            ),
            "gnt-instance add --forthcoming -t drbd --disk 0:size=1024M -o noop"
            " -H kvm:kernel_path=/vmlinuz -B vcpus=2"
            " --net 0:mac=aa:00:00:00:00:01,network=lan -n node1:node2 new1",
        )

    def test_most_fields_may_be_missing(self) -> None:
        self.assertEqual(self.command(), "gnt-instance add --forthcoming -t diskless -o noop new1")

    def test_what_is_complete_comes_over_and_does_not_run(self) -> None:
        before = document(
            disks=["d1"], primary_node="n1", hypervisor="kvm", admin_state="up", disks_active=True
        )
        before["disks"]["d1"]["logical_id"] = ["n1", "n2", 11000, 0, 0, "secret"]
        kept, found = separate_reservations(before)
        self.assertEqual(found, [])
        self.assertEqual(kept["disks"], before["disks"])
        held = kept["instances"]["i1"]
        self.assertEqual((held["admin_state"], held["disks_active"]), ("down", False))
        removed = {**kept, "instances": {"i2": kept["instances"]["i2"]}, "disks": {}}
        self.assertEqual(with_reservations(removed, before), removed)

    def test_without_a_node_or_the_layout_of_a_disk_it_is_incomplete(self) -> None:
        for missing in ({"primary_node": "gone"}, {"disks": ["d1"]}, {"hypervisor": None}):
            held = {"primary_node": "n1", "hypervisor": "kvm", **missing}
            [found] = separate_reservations(document(**held))[1]
            self.assertEqual(found.name, "new1")

    def test_they_can_be_merged_into_a_later_configuration(self) -> None:
        before = document(disks=["d1"])
        kept, _ = separate_reservations(before)
        self.assertEqual(with_reservations(kept, before), before)

    def test_what_was_created_meanwhile_takes_the_place(self) -> None:
        before = document(disks=["d1"])
        kept, _ = separate_reservations(before)
        created = {"name": "new1", "uuid": "i3"}
        later = {**kept, "instances": {**kept["instances"], "i3": created}}
        self.assertEqual(with_reservations(later, before), later)
