# SPDX-License-Identifier: BSD-2-Clause
"""Which devices of a q35 guest are behind root ports, and behind which."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.devices import disk_id, nic_id
from ganeti.hypervisor.kvm.pcie_ports import (
    SPARE_PORTS,
    assign_ports,
    count_ports,
    find_free_port,
    port_options,
)
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.testing.builders import a_disk

DISK = a_disk("disk0")
CARD = GuestNic(uuid="nic-uuid", mac="aa:00:00:00:00:01", mode="bridged", link="br0")


class PortTests(SynchronousTestCase):
    def test_each_disk_and_card_has_a_port_and_some_are_free(self) -> None:
        slots = assign_ports(Kvm(), [DISK], [CARD])
        self.assertEqual(slots, {disk_id(DISK): "port0", nic_id(CARD): "port1"})
        self.assertEqual(count_ports(slots), 2 + SPARE_PORTS)
        self.assertEqual(find_free_port(slots, 3, "web1"), "port2")

    def test_devices_of_other_buses_have_none(self) -> None:
        self.assertEqual(assign_ports(Kvm(disk_type="ide", nic_type="e1000"), [DISK], [CARD]), {})

    def test_a_port_that_became_free_is_taken_first(self) -> None:
        self.assertEqual(find_free_port({"disk-a": "port1"}, 2, "web1"), "port0")

    def test_a_guest_without_a_free_port_is_told_how_to_get_some(self) -> None:
        with self.assertRaisesRegex(Refused, "all 1 PCI Express ports.*gnt-instance reboot web1"):
            find_free_port({"disk-a": "port0"}, 1, "web1")

    def test_every_port_has_its_own_address_and_chassis(self) -> None:
        slots = {f"disk-{index}": f"port{index}" for index in range(200)}
        options = list(port_options(count_ports(slots)))[1::2]
        self.assertEqual(
            options[9],
            "pcie-root-port,id=port9,bus=pcie.0,addr=0x9.1,multifunction=on,chassis=10,port=0x9,"
            "io-reserve=0",
        )
        for name in ("id=", "addr=", "chassis=", ",port="):
            values = {each.partition(name)[2].partition(",")[0] for each in options}
            self.assertEqual(len(values), len(options), name)
        # QEMU has the machine type's own devices from there on.
        self.assertLess(options[-1].partition("addr=")[2], "0x19")
